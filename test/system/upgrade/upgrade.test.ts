import { Logger, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { listAssets, readAsset } from '../../../src/assets.ts';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { applyOurMigrations } from '../../../src/database/migrate/apply-migrations.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { storeMachines } from '../../../src/engine/index.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { cli, expectRefusal } from '../../unit/cli/support.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';

const files = listAssets('migrations').map((path) => ({
  name: path.slice(path.lastIndexOf('/') + 1),
  script: readAsset(path),
}));
/** The migrations of the first release. */
const RELEASED = files.filter(({ name }) => name < '0007');

/** A database as the first release left it. */
async function releasedDatabase(): Promise<TestDatabase> {
  const database = await createEmptyDatabase();
  onTestFinished(async () => database.drop());
  await runMigrations({ pgPool: database.pool, logger: new Logger(() => () => undefined) });
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await applyOurMigrations(client, RELEASED);
  await client.end();
  return database;
}

const one = async <T>(pool: pg.Pool, sql: string, values: unknown[] = []): Promise<T> =>
  (await pool.query<{ it: T }>(sql, values)).rows[0]!.it;

test('a database of the first release, with keys, proofs and open runs in it, goes to the newest', async () => {
  const { pool, url } = await releasedDatabase();
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
  // A worker of that release is in a step all the while.
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

  const { applied } = await migrate(url);
  expect(applied).toEqual(files.slice(RELEASED.length).map(({ name }) => name));
  expect(await seen()).toEqual(before);
  // What is kept is right, and not merely unchanged.
  for (const keyType of KEY_TYPES) {
    expect(
      await one(pool, 'select mended_buckets as it from dict.recalculate_vsync($1, $2)', [ISPB, keyType]),
    ).toBe(0);
  }
  await pool.query(`select workflow.heartbeat('old', '{}')`);
  await pool.query('select workflow.release_step($1, $2, $3)', [open, step.version, 'old']);
  expect(await one(pool, 'select status as it from workflow.runs where id = $1', [open])).toBe('RUNNING');
  expect(await one(pool, `select workflow.claim($1, 'old') ->> 'state' as it`, [open])).toBe(step.state);
  expect(await migrate(url)).toEqual({ applied: [] });
});

test('what a program of the first release calls and writes is still there, as it was', async () => {
  const released = await releasedDatabase();
  const newest = await createTestDatabase();
  onTestFinished(async () => newest.drop());
  const functions = async ({ pool }: TestDatabase) =>
    (
      await pool.query<{ it: string }>(
        `select format('%s.%s(%s) %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
           pg_get_function_result(p.oid)) as it
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname in ('workflow', 'dict') and p.prorettype <> 'trigger'::regtype`,
      )
    ).rows.map(({ it }) => it);
  const columns = async ({ pool }: TestDatabase, also = 'true') =>
    (
      await pool.query<{ it: string }>(
        `select format('%s.%s.%s %s', table_schema, table_name, column_name, udt_name) as it
         from information_schema.columns
         where table_schema in ('workflow', 'dict') and table_name not like 'migrations%' and ${also}`,
      )
    ).rows.map(({ it }) => it);
  const [before, after] = [await functions(released), await functions(newest)];
  expect(before.filter((signature) => !after.includes(signature))).toEqual([]);
  const [had, has] = [await columns(released), await columns(newest)];
  expect(had.filter((column) => !has.includes(column))).toEqual([]);
  // A column that must be given would refuse the old program's inserts.
  const oldTables = new Set(had.map((column) => column.split('.').slice(0, 2).join('.')));
  const must = await columns(
    newest,
    `is_nullable = 'NO' and column_default is null and is_identity = 'NO' and is_generated = 'NEVER'`,
  );
  const added = must.filter(
    (column) => !had.includes(column) && oldTables.has(column.split('.').slice(0, 2).join('.')),
  );
  expect(added).toEqual([]);
});

test('a program older than the database says so, ends with 2, and changes nothing', async () => {
  const database = await createTestDatabase();
  onTestFinished(async () => database.drop());
  await database.pool.query(
    `insert into workflow.migrations_applied (index, name, script, applied_at, obsolete)
     values (9999, '9999-future.sql', 'select 1', now(), false)`,
  );
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
