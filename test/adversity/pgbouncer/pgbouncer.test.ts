import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/database/pool.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { damage, generateKeyBase, type SimulatedDict, startSimulator } from '../../../src/simulator/index.ts';
import {
  damageAndReconcile,
  expectSound,
  startWorkerProcess,
  untilSteps,
  type WorkerProcess,
} from '../outage/support.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { dictBase, localBase } from '../../support/inspect.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { NO_PGBOUNCER, type PgBouncer, startPgBouncer } from './pgbouncer.ts';
import { ISPB } from '../../support/key-base.ts';

describe.skipIf(NO_PGBOUNCER !== undefined)(
  `behind PgBouncer in transaction mode (${NO_PGBOUNCER ?? 'here'})`,
  () => {
    const undo = new AsyncDisposableStack();
    let database: TestDatabase;
    let bouncer: PgBouncer;
    let dict: SimulatedDict;
    let worker: WorkerProcess;

    beforeAll(async () => {
      database = await createTestDatabase();
      undo.defer(async () => database.drop());
      const temp = await mkdtemp(join(tmpdir(), 'dict-vsync-pooled-'));
      undo.defer(async () => rm(temp, { recursive: true, force: true }));
      // Far fewer than the worker opens: no two statements may rely on the same server connection.
      bouncer = await startPgBouncer(database.url, 3);
      undo.defer(async () => bouncer.stop());
      const simulator = await startSimulator({ fileGenerationMs: 0, limits: 'off' });
      undo.defer(async () => simulator.stop());
      ({ dict } = simulator);
      const entries = [
        ...generateKeyBase({ participant: ISPB, keyTypes: KEY_TYPES, keysPerType: 60, seed: 1 }),
      ];
      dict.directory.seed(entries);
      const pooled = createPool(bouncer.url);
      await importEntries(pooled, damage(entries, { perType: 6, seed: 1 }).local);
      await pooled.end();
      worker = await startWorkerProcess({
        DATABASE_URL: bouncer.url,
        DATABASE_SESSION_URL: database.url,
        PARTICIPANT_ISPB: ISPB,
        BRIDGE_ADDRESS: simulator.address,
        TEMP_DIR: temp,
        // A comparison keeps one connection and needs another: the minimum is the number of comparing runs plus one.
        WORKER_CONCURRENCY: '2',
        IN_FLIGHT_MARGIN_SECONDS: '0',
        NOK_RECHECK_SECONDS: '0.02',
        FILE_POLL_SECONDS: '0.05',
      });
      // This does not test DICT's limits: an operation without a bucket is not limited.
      await database.pool.query('delete from dict.rate_limits');
      undo.defer(async () => void (worker.running() && (await worker.stop())));
    });
    afterAll(async () => undo.disposeAsync());

    test('it reconciles all key types, and each effect happens once', async () => {
      const { rows } = await database.pool.query<{ id: string }>(
        'select dict.start_reconciliation($1) as id',
        [ISPB],
      );
      await expectSound(
        database.pool,
        rows.map(({ id }) => id),
      );
      expect(await localBase(database.pool)).toEqual(dictBase({ dict }));
    });

    test('only the queue, the chores and the heartbeat have session connections, the rest is pooled', async () => {
      // The heartbeat's connection is there only for the moment of a beat: a look may find it or not.
      const { rows } = await database.pool.query<{ name: string; n: number }>(
        `select application_name as name, count(*)::integer as n from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'dict-vsync'
         and application_name <> 'dict-vsync heartbeat' and backend_type = 'client backend' group by 1`,
      );
      expect(rows.map(({ name }) => name).sort()).toEqual(['dict-vsync chores', 'dict-vsync queue']);
      const { rows: pooled } = await database.pool.query<{ n: number }>(
        `select count(*)::integer as n from pg_stat_activity where datname = current_database()
         and application_name = 'dict-vsync' and pid <> pg_backend_pid()`,
      );
      expect(pooled[0]!.n).toBeLessThanOrEqual(3 + database.pool.totalCount);
    });

    test("work survives when PgBouncer's server connections are cut", async () => {
      const runs = await damageAndReconcile(database.pool, ISPB, KEY_TYPES);
      await untilSteps(database.pool, runs, 6);
      await database.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`,
      );
      await expectSound(database.pool, runs);
      expect(await localBase(database.pool)).toEqual(dictBase({ dict }));
      expect(await worker.readiness()).toEqual({ status: 200, reasons: [] });
    });

    test('a wake-up comes by NOTIFY, not by the poll, because LISTEN has its own session', async () => {
      const { rows } = await database.pool.query<{ queries: string[] }>(
        `select array_agg(query) as queries from pg_stat_activity where datname = current_database()
         and application_name = 'dict-vsync queue'`,
      );
      expect(rows[0]!.queries.join('\n')).toContain('LISTEN "jobs:insert"');
    });
  },
);
