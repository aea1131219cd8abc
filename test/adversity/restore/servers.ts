import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { assertReachable } from '../../../src/database/pool.ts';
import { freePort } from '../../support/free-port.ts';

/** Where a whole installation of Postgres is, with pg_dump: npm's has the server only. */
const BIN = spawnSync('pg_config', ['--bindir']).stdout?.toString().trim() ?? '';
const at = (program: string): string => join(BIN, program);

const PROGRAMS = ['initdb', 'postgres', 'pg_dump', 'psql'];

/** Why nothing can be dumped here; undefined when it can. */
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

/** A cluster of its own with an empty database. */
export interface Cluster {
  url: string;
  /** Uses so many transaction ids up. */
  burn(transactions: number): void;
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
  await vi.waitFor(async () => assertReachable(url), { timeout: 20_000 });
  return {
    url,
    burn: (transactions) => {
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

/** Dumps a database as text and plays it into an empty one, as an operator does. */
export async function dumpInto(source: string, target: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-dump-'));
  if (ACCOUNT.uid !== undefined) chownSync(directory, ACCOUNT.uid, ACCOUNT.gid);
  const file = join(directory, 'dump.sql');
  run('pg_dump', ['-d', source, '-f', file]);
  run('psql', ['-d', target, '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', file]);
  await rm(directory, { recursive: true });
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(at(program), args, { ...ACCOUNT, cwd: tmpdir() });
  if (status !== 0) throw new Error(`${program} failed: ${stderr.toString()}`);
}
