import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { createPool, cutConnections } from '../../../src/database/pool.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { generateKeyBase, type SimulatedDict, startSimulator } from '../../../src/simulator/index.ts';
import { startStallingProxy, type StallingProxy } from '../../unit/http/stalling-proxy.ts';
import { dictBase, localBase } from '../../support/inspect.ts';
import {
  damageAndReconcile,
  expectSound,
  ownServer,
  standbyOf,
  type OwnServer,
  startWorkerProcess,
  untilSteps,
  type WorkerProcess,
} from './support.ts';
import { ISPB } from '../../support/key-base.ts';

// One worker process lives through all of it, in this order.
const undo = new AsyncDisposableStack();
let server: OwnServer;
let proxy: StallingProxy;
let pool: pg.Pool;
let dict: SimulatedDict;
let worker: WorkerProcess;

beforeAll(async () => {
  server = await ownServer({ max_connections: '45' });
  undo.defer(server.drop);
  await migrate(server.url);
  proxy = await startStallingProxy(server.url);
  undo.defer(async () => proxy.close());
  pool = createPool(server.url);
  undo.defer(async () => pool.end());
  const simulator = await startSimulator({ fileGenerationMs: 0, limits: 'off' });
  undo.defer(async () => simulator.stop());
  ({ dict } = simulator);
  const entries = [...generateKeyBase({ participant: ISPB, keyTypes: KEY_TYPES, keysPerType: 60, seed: 1 })];
  dict.directory.seed(entries);
  await importEntries(pool, entries);
  worker = await startWorkerProcess({
    DATABASE_URL: proxy.url,
    PARTICIPANT_ISPB: ISPB,
    BRIDGE_ADDRESS: simulator.address,
    TEMP_DIR: join(server.directory, 'files'),
    IN_FLIGHT_MARGIN_SECONDS: '0',
    NOK_RECHECK_SECONDS: '0.02',
    FILE_POLL_SECONDS: '0.05',
  });
  // This does not test DICT's limits: an operation without a bucket is not limited.
  await pool.query('delete from dict.rate_limits');
  undo.defer(async () => void (worker.running() && (await worker.stop())));
});
afterAll(async () => undo.disposeAsync());

const ready = { status: 200, reasons: [] };
const untilReady = async () =>
  expect.poll(worker.readiness, { timeout: 40_000, interval: 100 }).toEqual(ready);
const untilNotReady = async () =>
  expect
    .poll(worker.readiness, { timeout: 10_000, interval: 50 })
    .toMatchObject({ status: 503, reasons: expect.arrayContaining(['database_unreachable']) as string[] });

/** Starts reconciliations of all key types, which the outage interrupts. */
async function atWork(): Promise<string[]> {
  const runs = await damageAndReconcile(pool, ISPB, KEY_TYPES);
  await untilSteps(pool, runs, 8);
  return runs;
}

async function expectRecovered(runs: string[]): Promise<void> {
  await untilReady();
  await expectSound(pool, runs);
  expect(await localBase(pool)).toEqual(dictBase({ dict }));
  expect(worker.running()).toBe(true);
}

test('the worker survives a crash of Postgres, which stays down for a while', async () => {
  const runs = await atWork();
  await server.kill();
  await untilNotReady();
  proxy.resume(await server.restart());
  await onNewServer();
  await expectRecovered(runs);
});

test('the worker survives the repeated termination of every backend', async () => {
  const runs = await atWork();
  for (let round = 0; round < 8; round += 1) {
    await untilSteps(pool, runs, 8 + round);
    await pool.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
  }
  await expectRecovered(runs);
});

test('the worker survives other programs that take every connection', async () => {
  const runs = await atWork();
  const hogs: pg.Client[] = [];
  // The connection of an ended backend goes to somebody else.
  const { rows } = await pool.query<{ most: number }>(
    `select current_setting('max_connections')::integer as most`,
  );
  while (hogs.length < rows[0]!.most - 1) {
    await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'dict-vsync%' and pid <> pg_backend_pid()`,
    );
    const hog = new pg.Client({ connectionString: server.url, application_name: 'hog' });
    hog.on('error', () => undefined);
    await hog.connect().then(
      () => hogs.push(hog),
      () => undefined,
    );
  }
  await untilNotReady();
  await Promise.all(hogs.map(async (hog) => hog.end()));
  await expectRecovered(runs);
});

test(
  'the worker survives a black-holed network, and a standby that took over meanwhile',
  { timeout: 120_000 },
  async () => {
    const runs = await atWork();
    proxy.stall();
    await untilNotReady();
    await server.kill();
    server = await standbyOf(server);
    undo.defer(server.drop);
    await onNewServer();
    const gaveUp = () => worker.log().filter(({ msg }) => msg.startsWith('no heartbeat'));
    await expect.poll(gaveUp, { timeout: 20_000 }).not.toEqual([]);
    proxy.resume(server.url);
    await expectRecovered(runs);
  },
);

test('Graphile Worker is started again after it has ended by itself', async () => {
  await pool.query(`select pg_notify('worker:migrate', '{"breaking": true, "migrationNumber": 99}')`);
  await expect
    .poll(() => worker.log().map(({ msg }) => msg))
    .toContain('Graphile Worker ended by itself; it is started again');
  await expectRecovered(await atWork());
});

test('the worker can be stopped while Postgres is down', async () => {
  await server.kill();
  expect(await worker.stop()).toBe(0);
  await server.restart();
  await onNewServer();
});

/** The tests' own connection to the server that runs now. */
async function onNewServer(): Promise<void> {
  const before = pool;
  pool = createPool(server.url);
  cutConnections(before);
  await before.end();
}
