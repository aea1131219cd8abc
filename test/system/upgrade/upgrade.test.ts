import type pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { storeMachines } from '../../../src/engine/index.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { cli, expectRefusal } from '../../unit/cli/support.ts';
import { createTestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';
import { NEXT_RELEASE } from '../../support/next-release.ts';

const one = async <T>(pool: pg.Pool, sql: string, values: unknown[] = []): Promise<T> =>
  (await pool.query<{ it: T }>(sql, values)).rows[0]!.it;

test('a database with keys, proofs and open runs is migrated to the next release beside a worker of this one', async () => {
  const database = await createTestDatabase();
  onTestFinished(async () => database.drop());
  const { pool, url } = database;
  await importEntries(pool, [
    ...generateKeyBase({ participant: ISPB, keyTypes: KEY_TYPES, keysPerType: 50, seed: 1 }),
  ]);
  await pool.query('select dict.fold_vsync_deltas(100)');
  await pool.query(`update dict.entries set name = 'Outro' where key_type = 'CPF'`);
  await pool.query(`insert into dict.participants (participant) values ($1)`, [ISPB]);
  await storeMachines(pool, machines);
  await pool.query(`select workflow.heartbeat('old', '{}')`);
  const open = await one<string>(pool, `select dict.start_reconciliation($1, array['CPF']) as it`, [ISPB]);
  const closed = await one<string>(pool, `select dict.start_verification($1, array['EVP']) as it`, [ISPB]);
  await pool.query('select workflow.cancel($1)', [closed]);
  await pool.query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     values ($1, 'VERIFICATION', $2, 'CPF', repeat('0', 64), 0, now(), now(), 'OK')`,
    [closed, ISPB],
  );
  await pool.query(`select dict.publish($1, 'CPF', 'test', '{}', $2)`, [ISPB, closed]);
  // A worker of this release is in a step throughout.
  const step = await one<{ version: number; state: string }>(pool, `select workflow.claim($1, 'old') as it`, [
    open,
  ]);
  const seen = async () => ({
    vsyncs: (await pool.query('select participant, key_type, entries, vsync from dict.vsyncs order by 2'))
      .rows as unknown[],
    cids: await one(pool, 'select count(*)::integer as it from dict.cids'),
    status: (
      await pool.query('select key_type, last_result, open_reconciliation from dict.sync_status order by 1')
    ).rows as unknown[],
    runs: (await pool.query('select id, status, state, version from workflow.runs order by id'))
      .rows as unknown[],
    outbox: await one(pool, 'select count(*)::integer as it from dict.outbox'),
  });
  const before = await seen();

  expect(await migrate(url, { shipped: NEXT_RELEASE })).toEqual({ applied: ['0005-next.sql'] });
  expect(await seen()).toEqual(before);
  // The kept VSync is right, and not merely unchanged.
  for (const keyType of KEY_TYPES) {
    expect(
      await one(pool, 'select repaired_buckets as it from dict.recalculate_vsync($1, $2)', [ISPB, keyType]),
    ).toBe(0);
  }
  await pool.query(`select workflow.heartbeat('old', '{}')`);
  await pool.query('select workflow.release_step($1, $2, $3)', [open, step.version, 'old']);
  expect(await one(pool, 'select status as it from workflow.runs where id = $1', [open])).toBe('RUNNING');
  expect(await one(pool, `select workflow.claim($1, 'old') ->> 'state' as it`, [open])).toBe(step.state);
  expect(await migrate(url, { shipped: NEXT_RELEASE })).toEqual({ applied: [] });
});

test('a program older than the database says so, exits with 2, and changes nothing', async () => {
  const database = await createTestDatabase();
  onTestFinished(async () => database.drop());
  await migrate(database.url, { shipped: NEXT_RELEASE });
  const state = async () =>
    (await database.pool.query('select * from workflow.migrations_applied')).rows as unknown[];
  const before = await state();
  const env = { DATABASE_URL: database.url, PARTICIPANT_ISPB: ISPB, BRIDGE_ADDRESS: 'localhost:1' };
  for (const command of ['migrate', 'worker']) {
    expectRefusal(await cli([command], { env }), 2, 'DV_DATABASE_NEWER');
  }
  expect(await state()).toEqual(before);
  expect((await database.pool.query('select from workflow.workers')).rowCount).toBe(0);
});
