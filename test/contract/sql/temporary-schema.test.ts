import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { storeMachines } from '../../../src/engine/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB } from './support.ts';

const database = useTestDatabase();

/** A session of a role that may call the public functions and nothing else. */
async function guest(): Promise<pg.Client> {
  const role = `guest_${database.url.slice(-12)}`;
  await database.pool.query(`create role ${role} login password 'test'`);
  await database.pool.query(`select workflow.grant_api($1)`, [role]);
  const client = new pg.Client({
    connectionString: Object.assign(new URL(database.url), { username: role, password: 'test' }).href,
  });
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    await database.pool.query(`drop owned by ${role}`);
    await database.pool.query(`drop role ${role}`);
  });
  return client;
}

/** The types that our functions name: each is a trap in the caller's temporary schema. */
const TYPES = ['uuid', 'text', 'timestamptz', 'interval', 'int4', 'int8', 'bool', 'jsonb', 'bytea', 'xid8'];
const RELATIONS = ['runs', 'states', 'machines', 'entries', 'participants', 'settings', 'divergences'];
const NO_RUN = '00000000-0000-0000-0000-000000000000';

test("a caller's temporary types and tables are never taken for our own, and none of their code runs as the owner", async () => {
  await storeMachines(database.pool, machines);
  const client = await guest();
  await client.query(
    `create temporary table evil_log (who pg_catalog.name, what pg_catalog.text);
     grant all on evil_log to public;
     create function pg_temp.evil(value anyelement) returns pg_catalog.bool language plpgsql as $$
     begin
       insert into pg_temp.evil_log values (current_user, pg_typeof(value));
       return true;
     end $$`,
  );
  for (const type of TYPES) {
    await client.query(`create domain pg_temp."${type}" as pg_catalog.${type} check (pg_temp.evil(value))`);
  }
  for (const relation of RELATIONS) {
    await client.query(`create temporary table ${relation} (id pg_catalog.text, value pg_catalog.text)`);
  }
  const calls = [
    `dict.start_verification('${ISPB}', array['CPF'])`,
    `dict.start_reconciliation('${ISPB}', array['CPF'])`,
    `workflow.find_run('verification:${ISPB}:CPF')`,
    `workflow.cancel('${NO_RUN}')`,
    `workflow.retry('${NO_RUN}')`,
    `dict.start_undo('${NO_RUN}')`,
    `dict.release_keys('me', '${ISPB}')`,
    `dict.approve_reconciliation('${NO_RUN}', 'me', 'why')`,
    `dict.register_local_only('${NO_RUN}', null, 'me', 'why')`,
  ].map((call) => `select ${call}`);
  for (const call of calls.slice(0, 3)) expect((await client.query(call)).rowCount, call).toBe(1);
  for (const path of ['pg_temp, pg_catalog', 'public', '"$user", public, pg_temp']) {
    await client.query(`select pg_catalog.set_config('search_path', $1, false)`, [path]);
    for (const call of calls) await client.query(call).catch(() => undefined);
  }
  const { rows } = await client.query(
    'select distinct who, what from pg_temp.evil_log where who operator(pg_catalog.<>) current_user',
  );
  expect(rows).toEqual([]);
});
