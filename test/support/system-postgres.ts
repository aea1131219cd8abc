import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { assertReachable } from '../../src/database/pool.ts';
import { freePort } from './free-port.ts';

/** Where a complete installation of Postgres is, with pg_dump: npm's package has the server only. */
const BIN = spawnSync('pg_config', ['--bindir']).stdout?.toString().trim() ?? '';
const at = (program: string): string => join(BIN, program);

const PROGRAMS = ['initdb', 'postgres', 'pg_dump', 'psql'];

/** Why pg_dump cannot run here; undefined when it can. */
export const NO_PG_DUMP =
  BIN !== '' && PROGRAMS.every((name) => majorOf(at(name)) >= 15)
    ? undefined
    : 'no Postgres from 15 on with initdb and pg_dump is installed';

function majorOf(program: string): number {
  const said = spawnSync(program, ['--version']).stdout?.toString() ?? '';
  return Number(/\) (\d+)/.exec(said)?.[1] ?? 0);
}

/** Postgres refuses to run as root. */
const ACCOUNT = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** A cluster of the test's own with an empty database. */
export interface Cluster {
  url: string;
  /** Uses up N transaction ids. */
  useTransactionIds(transactions: number): void;
  stop(): Promise<void>;
}

export async function startCluster(): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-restore-'));
  if (ACCOUNT.uid !== undefined) chownSync(directory, ACCOUNT.uid, ACCOUNT.gid);
  const data = join(directory, 'data');
  run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']);
  const port = await freePort();
  const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off' };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(at('postgres'), ['-D', data, '-p', String(port), ...flags], {
    ...ACCOUNT,
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await reachable(url, Date.now() + 20_000);
  return {
    url,
    useTransactionIds: (transactions) => {
      run('psql', [
        ...['-d', url, '-qc'],
        `do $$ begin for i in 1..${transactions} loop perform pg_current_xact_id(); commit; end loop; end $$`,
      ]);
    },
    stop: async () => {
      child.kill('SIGINT');
      await exited;
      await rm(directory, { recursive: true });
    },
  };
}

/** Dumps a database as text and restores it into an empty one, as an operator does. */
export async function dumpInto(source: string, target: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-dump-'));
  if (ACCOUNT.uid !== undefined) chownSync(directory, ACCOUNT.uid, ACCOUNT.gid);
  const file = join(directory, 'dump.sql');
  run('pg_dump', ['-d', source, '-f', file]);
  run('psql', ['-d', target, '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', file]);
  await rm(directory, { recursive: true });
}

/** The definitions of our two schemas as text, by pg_dump, without what differs from run to run. */
export function dumpDefinitions(source: string): string {
  const dump = run('pg_dump', ['-d', source, '-s', '-n', 'workflow', '-n', 'dict']);
  const changing = /^(\\(un)?restrict .*|-- Dumped (from|by) .*|-- (Started|Completed) on .*)\n/gm;
  return `${dump.replaceAll(changing, '').trim()}\n`;
}

/** The major version of pg_dump here. */
export const PG_DUMP_MAJOR = majorOf(at('pg_dump'));

async function reachable(url: string, until: number): Promise<void> {
  for (;;) {
    try {
      return await assertReachable(url);
    } catch (error) {
      if (Date.now() > until) throw error;
      await delay(50);
    }
  }
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(at(program), args, {
    ...ACCOUNT,
    cwd: tmpdir(),
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`${program} failed: ${stderr.toString()}`);
  return stdout.toString();
}
