import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { assertServerVersion, migrate } from '../../../../src/database/migrate/migrate.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../../support/database.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await createEmptyDatabase();
});
afterEach(async () => {
  await database.drop();
});

const GRAPHILE_SCHEMA = "select value from workflow.settings where name = 'graphile_worker_schema'";

async function become(next: Promise<TestDatabase>): Promise<void> {
  await database.drop();
  database = await next;
}

test('processes that migrate simultaneously wait for each other, and all succeed', async () => {
  const program = fileURLToPath(new URL('./migrate-child.ts', import.meta.url));
  const outputs = await Promise.all(
    Array.from({ length: 3 }, () => promisify(execFile)(process.execPath, [program, database.url])),
  );
  const applied = outputs.map(({ stdout }) => JSON.parse(stdout) as string[]);
  const { rows } = await database.pool.query('select name from workflow.migrations_applied order by index');
  expect(rows.length).toBeGreaterThan(0);
  expect(applied.flat()).toEqual(rows.map((row: { name: string }) => row.name));
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
});

test('a second migration does nothing and needs no permission to write', async () => {
  await become(createTestDatabase());
  const before = await database.pool.query('select * from workflow.migrations_applied');
  const role = `reader_${database.url.slice(-12)}`;
  await database.pool.query(
    `create role ${role} login password 'test'; grant usage on schema workflow, graphile_worker to ${role};
     grant select on all tables in schema workflow, graphile_worker to ${role};
     revoke create, temporary on database ${new URL(database.url).pathname.slice(1)} from public`,
  );
  const asReader = Object.assign(new URL(database.url), { username: role, password: 'test' }).href;
  expect(await migrate(asReader)).toEqual({ applied: [] });
  expect((await database.pool.query('select * from workflow.migrations_applied')).rows).toEqual(before.rows);
  await database.pool.query(`drop owned by ${role}; drop role ${role}`);
});

test('Graphile Worker is installed in the requested schema, and the SQL side knows it', async () => {
  await migrate(database.url, { graphileSchema: 'Bank Jobs' });
  expect((await database.pool.query(GRAPHILE_SCHEMA)).rows).toEqual([{ value: 'Bank Jobs' }]);
  const { rows } = await database.pool
    .query(`select to_regclass('"Bank Jobs".migrations') is not null as there,
    to_regnamespace('graphile_worker') is null as alone`);
  expect(rows).toEqual([{ there: true, alone: true }]);
});

test('the bookkeeping is in the schema workflow, nothing is in public', async () => {
  await migrate(database.url);
  const { rows } = await database.pool.query(
    "select relname from pg_class where relnamespace = 'public'::regnamespace",
  );
  expect(rows).toEqual([]);
});

test('a database migrated by a newer program is refused', async () => {
  await become(createTestDatabase());
  await database.pool.query(
    `insert into workflow.migrations_applied (index, name, script, applied_at, obsolete)
     values (9999, '9999-future.sql', 'select 1', now(), false)`,
  );
  await expect(migrate(database.url)).rejects.toMatchObject({
    code: 'DV_DATABASE_NEWER',
    message: expect.stringContaining('9999-future.sql') as string,
  });
});

test('a database migrated by a newer Graphile Worker is refused, and the exit code is left alone', async () => {
  await become(createTestDatabase());
  await database.pool.query('insert into graphile_worker.migrations (id, breaking) values (9999, true)');
  const exitCode = process.exitCode;
  await expect(migrate(database.url)).rejects.toMatchObject({ code: 'DV_DATABASE_NEWER' });
  expect(process.exitCode).toBe(exitCode);
});

test('an edited migration is refused', async () => {
  await become(createTestDatabase());
  await database.pool.query("update workflow.migrations_applied set script = script || ' ' where index = 1");
  await expect(migrate(database.url)).rejects.toMatchObject({
    code: 'DV_MIGRATION_EDITED',
    message: expect.stringContaining('0001-') as string,
  });
});

test('an earlier migration that was left out is refused', async () => {
  await become(createTestDatabase());
  await database.pool.query('delete from workflow.migrations_applied where index = 1');
  await expect(migrate(database.url)).rejects.toMatchObject({ code: 'DV_MIGRATION_ORDER' });
});

test('a migration that fails leaves no trace', async () => {
  await database.pool.query('create schema workflow; create table workflow.settings ()');
  await expect(migrate(database.url)).rejects.toMatchObject({
    code: 'DV_MIGRATION_FAILED',
    message: expect.stringContaining('42P07') as string,
  });
  const { rows } = await database.pool.query(
    `select to_regclass('workflow.migrations_applied') as applied, to_regclass('workflow.runs') as runs,
       to_regnamespace('dict') as dict, to_regprocedure('workflow.now()') as now`,
  );
  expect(rows).toEqual([{ applied: null, runs: null, dict: null, now: null }]);
});

test('the error names the permission that a user lacks', async () => {
  const role = `poor_${database.url.slice(-12)}`;
  await database.pool.query(`create role ${role} login password 'test'`);
  const url = Object.assign(new URL(database.url), { username: role, password: 'test' }).href;
  await expect(migrate(url)).rejects.toMatchObject({
    code: 'DV_DATABASE_FORBIDDEN',
    message: expect.stringContaining('CREATE on the database') as string,
  });
  await database.pool.query('create schema workflow; create schema dict; create schema graphile_worker');
  await expect(migrate(url)).rejects.toMatchObject({
    code: 'DV_DATABASE_FORBIDDEN',
    message: expect.stringContaining('permission denied for schema graphile_worker') as string,
  });
  await database.pool.query(`drop role ${role}`);
});

test('a database that is not UTF8 is refused', async () => {
  const name = `${inject('postgres').prefix}ascii`;
  const client = new pg.Client({ connectionString: inject('postgres').url });
  await client.connect();
  await client.query(
    `create database ${name} template template0 encoding 'SQL_ASCII' locale_provider libc locale 'C'`,
  );
  const url = Object.assign(new URL(database.url), { pathname: `/${name}` }).href;
  await expect(migrate(url)).rejects.toMatchObject({ code: 'DV_DATABASE_NOT_UTF8' });
  await client.query(`drop database ${name}`);
  await client.end();
});

test('Postgres 15 is the oldest accepted', () => {
  expect(() => assertServerVersion(140_022)).toThrow(
    expect.objectContaining({ code: 'DV_POSTGRES_TOO_OLD' }) as Error,
  );
  expect(() => assertServerVersion(150_000)).not.toThrow();
  expect(() => assertServerVersion(180_004)).not.toThrow();
});
