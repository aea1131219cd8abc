import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { listAssets } from '../../../src/assets.ts';
import { createPool } from '../../../src/database/pool.ts';
import type { RunningWorker } from '../../../src/engine/index.ts';
import { createHealth } from '../../../src/http/health.ts';
import { createEmptyDatabase, useTestDatabase } from '../../support/database.ts';
import { startIdleWorker } from './idle-worker.ts';
import { startStallingProxy } from './stalling-proxy.ts';

const database = useTestDatabase();
const migrations = listAssets('migrations');
let worker: RunningWorker;

beforeEach(async () => {
  worker = await startIdleWorker(database.pool);
});
afterEach(async () => {
  vi.useRealTimers();
  await worker.stop();
});

const healthOf = (pool = database.pool) => createHealth({ pool, worker, migrations });
const reasonsOf = async (health: ReturnType<typeof createHealth>) =>
  (await health.check()).reasons.map(({ reason }) => reason);

describe('a worker', () => {
  test('is ready when the database answers, is migrated and its heartbeat gets through', async () => {
    expect(await healthOf().check()).toEqual({ ready: true, reasons: [], warnings: [] });
  });

  test('is not ready before it has started', async () => {
    const health = createHealth({ pool: database.pool, migrations });
    expect(await health.check()).toMatchObject({ ready: false, reasons: [{ reason: 'worker_starting' }] });
    health.started(worker);
    expect(await health.check()).toEqual({ ready: true, reasons: [], warnings: [] });
  });

  test('is not ready once it is stopping, and after it has stopped by itself', async () => {
    const stopping = healthOf();
    stopping.stopping();
    expect(await stopping.check()).toEqual({
      ready: false,
      reasons: [{ reason: 'worker_stopping', message: 'The worker is stopping or has stopped.' }],
      warnings: [],
    });
    const untold = healthOf();
    await worker.stop();
    expect(await reasonsOf(untold)).toEqual(['worker_stopping']);
  });

  test('is not ready when its heartbeat is older than 10 s, and is again when one gets through', async () => {
    // Waits for one that has just come: the next is 2 s later.
    const first = worker.lastHeartbeat();
    await expect.poll(() => worker.lastHeartbeat()).toBeGreaterThan(first + 1000);
    const last = worker.lastHeartbeat();
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(last + 10_000);
    expect(await reasonsOf(healthOf())).toEqual([]);
    vi.setSystemTime(last + 11_000);
    expect(await healthOf().check()).toEqual({
      ready: false,
      reasons: [{ reason: 'heartbeat_old', message: 'The last successful heartbeat was 11 s ago.' }],
      warnings: [],
    });
    // A poll moves a faked clock, and the heartbeat's thread has the real one.
    vi.useRealTimers();
    await expect.poll(() => worker.lastHeartbeat()).toBeGreaterThan(last + 1000);
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(last + 11_000);
    expect(await reasonsOf(healthOf())).toEqual([]);
  });

  test('names every reason together', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(worker.lastHeartbeat() + 20_000);
    const health = createHealth({
      pool: database.pool,
      worker,
      migrations: [...migrations, '9999-next.sql'],
    });
    health.stopping();
    expect(await reasonsOf(health)).toEqual(['migrations_not_current', 'heartbeat_old', 'worker_stopping']);
  });
});

describe('migrations', () => {
  test('a database that lacks one of the program, or has one more, is not current', async () => {
    const { pool } = database;
    for (const shipped of [[...migrations, '9999-next.sql'], migrations.slice(1)]) {
      expect(await reasonsOf(createHealth({ pool, worker, migrations: shipped }))).toEqual([
        'migrations_not_current',
      ]);
    }
  });

  test('an empty database is not current', async () => {
    const empty = await createEmptyDatabase();
    expect(await reasonsOf(healthOf(empty.pool))).toEqual(['migrations_not_current']);
    expect(await reasonsOf(createHealth({ pool: empty.pool, worker }))).toEqual(['migrations_not_current']);
    await empty.drop();
  });
});

describe('the database', () => {
  test('unreachable: it answers with the reason, without the URL', async () => {
    const url = new URL(database.url);
    url.port = '1';
    url.password = 'hunter2';
    const pool = createPool(url.href);
    const readiness = await healthOf(pool).check();
    expect(readiness.reasons.map(({ reason }) => reason)).toEqual(['database_unreachable']);
    expect(JSON.stringify(readiness)).toContain('ECONNREFUSED');
    expect(JSON.stringify(readiness)).not.toContain('hunter2');
    await pool.end();
  });

  test('hanging: it answers within 2 s, and simultaneous requests use one connection', async () => {
    const proxy = await startStallingProxy(database.url);
    const pool = createPool(proxy.url);
    const health = healthOf(pool);
    expect((await health.check()).ready).toBe(true);
    proxy.stall();
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => health.check()));
    expect(performance.now() - began).toBeLessThan(2000);
    expect(pool.totalCount + pool.waitingCount).toBe(1);
    expect(new Set(answers.flatMap(({ reasons }) => reasons.map(({ reason }) => reason)))).toEqual(
      new Set(['database_unreachable']),
    );
    // Nor is a connection kept that will never answer.
    await expect.poll(() => pool.totalCount, { timeout: 3000 }).toBe(0);
    await proxy.close();
    await pool.end();
  });

  test('locked: the server gives up too, and nothing is left behind', async () => {
    const holder = await database.pool.connect();
    await holder.query('begin; lock table workflow.migrations_applied');
    const began = performance.now();
    expect(await reasonsOf(healthOf())).toEqual(['database_unreachable']);
    expect(performance.now() - began).toBeLessThan(2000);
    const waiting = async () => {
      const { rows } = await holder.query<{ n: number }>(
        "select count(*)::int as n from pg_locks where not granted and relation = 'workflow.migrations_applied'::regclass",
      );
      return rows[0]?.n;
    };
    await expect.poll(waiting).toBe(0);
    await holder.query('rollback');
    holder.release();
    expect(await reasonsOf(healthOf())).toEqual([]);
  });
});

describe('messages to Core-Dict', () => {
  test('dead ones, or ones waiting for more than ten minutes, are warnings and leave the worker ready', async () => {
    const { pool } = database;
    for (const keyType of ['CPF', 'EVP', 'ALL']) {
      await pool.query("select dict.publish('12345678', $1, 'test', '{}', null)", [keyType]);
    }
    await pool.query(`update dict.outbox set created_at = workflow.now() - interval '11 minutes' where key_type <> 'ALL';
      update dict.outbox set dead_at = workflow.now() where key_type = 'EVP'`);
    const { ready, warnings } = await healthOf().check();
    expect(ready).toBe(true);
    expect(warnings).toMatchObject([
      { warning: 'messages_late', keyType: 'CPF' },
      { warning: 'messages_dead', keyType: 'EVP' },
    ]);
    await pool.query('truncate dict.outbox, dict.outbox_sequences');
  });
});
