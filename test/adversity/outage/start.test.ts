import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { startSimulator } from '../../../src/simulator/index.ts';
import { expectRefusal, spawned } from '../../unit/cli/support.ts';
import { startStallingProxy } from '../../unit/http/stalling-proxy.ts';
import { ownServer, type OwnServer, startWorkerProcess, type WorkerProcess } from './support.ts';
import { freePort } from '../../support/free-port.ts';

// The worker starts before Postgres does.
const undo = new AsyncDisposableStack();
let server: OwnServer;
let env: Record<string, string>;

beforeAll(async () => {
  server = await ownServer();
  undo.defer(server.drop);
  const simulator = await startSimulator({ participants: 'any' });
  undo.defer(async () => simulator.stop());
  env = {
    PARTICIPANT_ISPB: '12345678',
    BRIDGE_ADDRESS: simulator.address,
    TEMP_DIR: join(server.directory, 'files'),
    HTTP_PORT: '0',
  };
});
afterAll(async () => undo.disposeAsync());

const waits = { status: 503, reasons: ['database_unreachable', 'worker_starting'] };
const codesOf = (worker: WorkerProcess) =>
  worker.log().flatMap(({ code }) => (code === undefined ? [] : [code]));

test('the worker waits for Postgres, alive and not ready, and works as soon as it is there', async () => {
  await server.kill();
  const proxy = await startStallingProxy(server.url);
  undo.defer(async () => proxy.close());
  const worker = await startWorkerProcess({ ...env, DATABASE_URL: proxy.url }, { untilWorks: false });
  await expect.poll(() => codesOf(worker).length, { timeout: 10_000 }).toBeGreaterThan(1);
  expect(new Set(codesOf(worker))).toEqual(new Set(['DV_DATABASE_UNREACHABLE']));
  expect(await worker.alive()).toBe(true);
  expect(await worker.readiness()).toEqual(waits);

  proxy.resume(await server.restart());
  await expect.poll(worker.readiness, { timeout: 15_000 }).toEqual({ status: 200, reasons: [] });
  expect(JSON.stringify(worker.log())).not.toMatch(/\bat \S+:\d+:\d+|postgres:.*@/);
  expect(await worker.stop()).toBe(0);
});

test.each([
  ['nobody listens', async () => freePort()],
  ['nobody answers', async () => silentPort()],
])('a stop while it waits ends it immediately with 0: %s', async (_what, port) => {
  const url = Object.assign(new URL(server.url), { port: String(await port()) }).href;
  const worker = await startWorkerProcess({ ...env, DATABASE_URL: url }, { untilWorks: false });
  await expect.poll(worker.readiness).toEqual(waits);
  const stoppedAt = Date.now();
  expect(await worker.stop()).toBe(0);
  // An attempt to connect is given up after 10 s.
  expect(Date.now() - stoppedAt).toBeLessThan(5000);
});

test('a stop while another program migrates ends it immediately with 0', async () => {
  const other = new pg.Client({ connectionString: server.url });
  await other.connect();
  await other.query(`select pg_advisory_lock(hashtext('dict-vsync migrate'))`);
  const worker = await startWorkerProcess({ ...env, DATABASE_URL: server.url }, { untilWorks: false });
  const waiting = async () => {
    const { rowCount } = await other.query(
      `select from pg_locks where locktype = 'advisory' and not granted`,
    );
    return rowCount;
  };
  await expect.poll(waiting).toBe(1);
  expect(await worker.stop()).toBe(0);
  await other.end();
});

test.each([
  ['a wrong password', { password: 'wrong-s3cret' }, 2, 'DV_DATABASE_FORBIDDEN'],
  ['a database that does not exist', { pathname: '/nowhere' }, 1, 'DV_DATABASE_UNREACHABLE'],
  [
    'a certificate that does not exist',
    { search: '?sslmode=verify-full&sslrootcert=/nowhere.pem' },
    1,
    'DV_DATABASE_UNREACHABLE',
  ],
  ['a server without TLS', { search: '?sslmode=require' }, 1, 'DV_DATABASE_UNREACHABLE'],
] as const)('%s ends it immediately', async (_what, parts, exitCode, code) => {
  const url = Object.assign(new URL(server.url), parts).href;
  const ended = await spawned(['worker'], { env: { ...env, DATABASE_URL: url } });
  expectRefusal(ended, exitCode, code);
  expect(ended.stderr).not.toContain('s3cret');
});

test('a database that a newer program migrated ends it immediately', async () => {
  await migrate(server.url);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(
    `insert into workflow.migrations_applied (index, name, script, applied_at, ignored_error, obsolete)
     select 9999, '9999-next.sql', 'select 1', now(), null, false`,
  );
  await client.end();
  const ended = await spawned(['worker'], { env: { ...env, DATABASE_URL: server.url } });
  expectRefusal(ended, 2, 'DV_DATABASE_NEWER');
});

async function silentPort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  undo.defer(async () => void listener.close());
  return (listener.address() as AddressInfo).port;
}
