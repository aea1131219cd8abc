import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { commands } from '../src/cli/commands/index.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
  THROWAWAY_SETTINGS,
} from '../src/database/embedded/embedded-postgres.ts';
import { KEY_TYPES } from '../src/dict/entry/key-type.ts';
import { Program } from './program.ts';

const root = join(import.meta.dirname, '..');
const executable = join(root, 'dist', process.platform === 'win32' ? 'dict-vsync.exe' : 'dict-vsync');

let temp: string;
let folder: string;
let postgres: EmbeddedPostgres;
let binary: Program;

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'dict-vsync-binary-'));
  folder = join(temp, 'empty');
  await mkdir(folder);
  binary = new Program([executable], folder);
  postgres = await startEmbeddedPostgres({ directory: join(temp, 'postgres'), settings: THROWAWAY_SETTINGS });
});

afterAll(async () => {
  binary.killAll();
  await postgres.stop();
  await rm(temp, { recursive: true });
});

/** A new, empty database. */
async function emptyDatabase(name: string): Promise<string> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(`create database ${name} template template0 encoding 'UTF8'`);
  await client.end();
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  return url.href;
}

/** Connections of heartbeat threads. */
async function heartbeats(url: string): Promise<number | null> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rowCount } = await client.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'dict-vsync heartbeat'`,
  );
  await client.end();
  return rowCount;
}

interface DemoAnswer {
  inSync: boolean;
  keyTypes: { keyType: string; before: string; applied: number; after: string }[];
}

/** The answer that a demo with 9 divergent keys of each type must give. */
const REPAIRED = {
  inSync: true,
  keyTypes: KEY_TYPES.map((keyType) => ({ keyType, before: 'NOK', applied: 9, after: 'OK' })),
};
const DEMO = ['demo', '--keys', '200', '--divergent', '9', '--database'];

test('prints its version and every command', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(await binary.run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  const help = await binary.run(['--help']);
  expect(help.code).toBe(0);
  for (const command of commands()) {
    expect(help.stdout).toMatch(new RegExp(`^  ${command.name()}\\b`, 'm'));
    expect(await binary.run([command.name(), '--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Examples:') as string,
    });
  }
});

test("computes BACEN's CID, from flags and from CSV", async () => {
  const cid = '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88';
  const entry = {
    'request-id': '01020304-0506-0708-090a-0b0c0d0e0f10',
    'key-type': 'PHONE',
    key: '+5511987654321',
    'tax-id': '11122233300',
    name: 'João Silva',
    participant: '12345678',
    branch: '00001',
    account: '0007654321',
    'account-type': 'CACC',
  };
  const flags = Object.entries(entry).flatMap(([name, value]) => [`--${name}`, value]);
  expect(await binary.run(['cid', ...flags])).toEqual({ code: 0, stdout: `${cid}\n`, stderr: '' });
  const names = Object.keys(entry).map((name) => name.replace('-', '_'));
  const csv = `${names.join()},trade_name\n${Object.values(entry).join()},\n`;
  expect(await binary.run(['cid'], {}, csv)).toEqual({ code: 0, stdout: `${cid}\n`, stderr: '' });
});

test('names the setting that it needs if there is no database, and leaves no files behind', async () => {
  for (const args of [['migrate'], ['worker'], ['start', 'verification'], ['list'], ['demo']]) {
    const service = { PARTICIPANT_ISPB: '12345678', BRIDGE_ADDRESS: '127.0.0.1:1' };
    const { code, stdout, stderr } = await binary.run(args, service);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
    expect(stderr).toMatch(/^DV_EMBEDDED_POSTGRES_MISSING: .*DATABASE_URL/);
  }
  expect(await readdir(folder)).toEqual([]);
});

test('runs verification and reconciliation with the processes of an installation', async () => {
  const database = { DATABASE_URL: await emptyDatabase('job') };
  const migrations = (await readdir(join(root, 'migrations'))).filter((name) => name.endsWith('.sql')).sort();
  expect(await binary.json(['migrate'], database)).toEqual({ applied: migrations });
  expect(await binary.json(['migrate'], database)).toEqual({ applied: [] });

  const csv = join(temp, 'keys.csv');
  const size = ['--port', '0', '--keys', '100', '--divergent', '6', '--speed', '20'];
  const simulator = binary.start(['simulator', ...size, '--export', csv, '--json']);
  const { address } = await vi.waitFor(() => JSON.parse(simulator.out.stdout) as { address: string }, 10_000);
  expect(await binary.json(['import', csv], database)).toMatchObject({
    changed: expect.any(Number) as number,
  });

  const service = { ...database, PARTICIPANT_ISPB: '12345678', BRIDGE_ADDRESS: address };
  const worker = binary.start(['worker'], { ...service, HTTP_PORT: '0' });
  const port = await vi.waitFor(() => {
    const [, found] = /"http":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(worker.out.stderr) ?? [];
    if (found === undefined)
      throw new Error(`the worker does not serve health and metrics yet: ${worker.out.stderr}`);
    return found;
  }, 10_000);
  const healthy = { ready: true, reasons: [], warnings: [] };
  await vi.waitFor(
    async () => expect(await binary.json(['health'], { HTTP_PORT: port })).toEqual(healthy),
    10_000,
  );

  const started = await binary.json<{
    inSync: boolean;
    runs: { id: string; machine: string; status: string }[];
  }>(['start', 'verification', '--participant', '12345678', '--wait'], service);
  expect(started.inSync).toBe(true);
  const { runs } = await binary.json<typeof started>(['list', '--machine', 'reconciliation'], database);
  expect(runs.map(({ status }) => status)).toEqual(KEY_TYPES.map(() => 'COMPLETED'));
  for (const { id } of runs) {
    expect(await binary.json(['describe', id], database)).toMatchObject({ run: { id }, approve: null });
  }
  const { vsyncs } = await binary.json<{ vsyncs: { entries: number }[] }>(
    ['vsync', '--recalculate'],
    database,
  );
  expect(vsyncs.map(({ entries }) => entries)).toEqual(KEY_TYPES.map(() => 100));

  expect(await heartbeats(database.DATABASE_URL)).toBe(1);
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
  const { code, stdout } = await binary.run(['health'], { HTTP_PORT: port });
  expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringContaining('Not ready') as string });
  simulator.child.kill('SIGTERM');
  expect(await simulator.ended).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});

test('runs the demo on a database of the user, and refuses a database that is in use', async () => {
  const url = await emptyDatabase('demo');
  expect(await binary.json<DemoAnswer>([...DEMO, url], {})).toMatchObject(REPAIRED);
  const { code } = await binary.run([...DEMO, url]);
  expect(code).toBe(2);
});

test('works as an npm installation, where Node does not strip types and starts the bundle', async () => {
  const installed = join(temp, 'node_modules', 'dict-vsync');
  const program = ['bin', 'dist/dict-vsync.mjs', 'dist/scan-worker.cjs', 'dist/heartbeat-worker.cjs'];
  for (const path of [...program, 'package.json', 'crontab', 'migrations', 'proto']) {
    await cp(join(root, path), join(installed, path), { recursive: true });
  }
  const bundle = new Program([process.execPath, join(installed, 'bin', 'dict-vsync.js')], folder);
  expect(await bundle.json<DemoAnswer>([...DEMO, await emptyDatabase('bundle')], {})).toMatchObject(REPAIRED);
});
