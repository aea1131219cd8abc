import { createHash } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { readAsset } from '../../../../src/assets.ts';
import { inOrder } from '../../../../src/database/migrate/apply-functions.ts';
import { migrate, type ShippedSchema, shippedSchema } from '../../../../src/database/migrate/migrate.ts';
import { made, NEXT_RELEASE } from '../../../support/next-release.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../../support/database.ts';

const shipped = shippedSchema();

async function fresh(from: Promise<TestDatabase>): Promise<TestDatabase> {
  const database = await from;
  onTestFinished(async () => database.drop());
  return database;
}

const lease = async ({ pool }: TestDatabase) =>
  (await pool.query<{ lease: string }>('select workflow.lease()::text as lease')).rows[0]?.lease;

test('a higher number is applied completely, beside a worker of the version before, and a lower one is refused', async () => {
  const database = await fresh(createTestDatabase());
  const { pool, url } = database;
  await pool.query(`select workflow.heartbeat('old', '{}')`);
  expect(await migrate(url, { shipped: NEXT_RELEASE })).toEqual({ applied: ['0005-next.sql'] });
  expect(await lease(database)).toBe('00:00:11');
  await pool.query('insert into dict.next default values');
  expect((await pool.query('select from dict.next where at is not null')).rowCount).toBe(1);
  // What the previous version calls still exists; once it has ended it may not start again.
  await pool.query(`select workflow.heartbeat('old', '{}')`);
  await expect(migrate(url)).rejects.toMatchObject({ code: 'DV_DATABASE_NEWER' });
  expect(await lease(database)).toBe('00:00:11');
});

test('the same number is not applied again', async () => {
  const database = await fresh(createTestDatabase());
  await database.pool.query(
    `create or replace function workflow.lease() returns interval language sql immutable
     set search_path = pg_catalog, workflow, dict, pg_temp as $$ select interval '12 seconds' $$`,
  );
  expect(await migrate(database.url)).toEqual({ applied: [] });
  expect(await lease(database)).toBe('00:00:12');
});

test('a set that cannot be applied leaves no trace, nor do the migrations before it', async () => {
  const database = await fresh(createEmptyDatabase());
  const broken: ShippedSchema = {
    ...NEXT_RELEASE,
    functions: {
      ...NEXT_RELEASE.functions,
      definitions: [
        ...NEXT_RELEASE.functions.definitions,
        made('dict.broken', 'returns nothing language sql as $$ $$'),
      ],
    },
  };
  await expect(migrate(database.url, { shipped: broken })).rejects.toMatchObject({
    code: 'DV_MIGRATION_FAILED',
    message: expect.stringContaining('Nothing was changed') as string,
  });
  const { rows } = await database.pool.query(
    `select to_regnamespace('dict') as dict, to_regnamespace('workflow') as workflow`,
  );
  expect(rows).toEqual([{ dict: null, workflow: null }]);
});

test('migrating works whatever date format the database, the role or the server prefers', async () => {
  const database = await fresh(createEmptyDatabase());
  const name = new URL(database.url).pathname.slice(1);
  await database.pool.query(
    `alter database ${name} set datestyle = 'SQL, DMY'; alter database ${name} set intervalstyle = 'iso_8601';
     alter database ${name} set search_path = 'nowhere'; alter database ${name} set timezone = 'Asia/Kolkata'`,
  );
  const { applied } = await migrate(database.url);
  expect(applied).toEqual(shipped.migrations.map(({ name: file }) => file));
  expect(await migrate(database.url)).toEqual({ applied: [] });
});

test('a function that changed since the last release has a higher number', () => {
  // Each release appends {version, number, sha256} (docs/contributing/releasing.md).
  const releases = JSON.parse(readAsset('build/releases.json')) as { number: number; sha256: string }[];
  const last = releases.at(-1);
  const { number, definitions } = shipped.functions;
  const sha256 = createHash('sha256')
    .update(definitions.map(({ text }) => text).join('\n'))
    .digest('hex');
  if (last !== undefined && last.sha256 !== sha256) expect(number).toBeGreaterThan(last.number);
  expect(number).toBeGreaterThanOrEqual(last?.number ?? 1);
});

test('definitions that Postgres parses come after what they name', () => {
  const view = (name: string, text: string) =>
    ({ name, kind: 'view', path: '', text: `create or replace view ${name} as ${text};` }) as const;
  const ordered = inOrder([
    view('dict.a', 'select * from dict.b'),
    view('dict.b', 'select dict.c() from dict.d'),
    {
      ...made('dict.c', 'returns int language sql return 1'),
      text: 'create or replace function dict.c() returns int return 1;',
    },
    made('dict.e', 'returns int language sql as $$ select 1 $$'),
    view('dict.d', 'select dict.e()\n;\ncomment on view dict.d is $$see dict.a$$'),
  ]);
  expect(ordered.map(({ name }) => name)).toEqual(['dict.e', 'dict.c', 'dict.d', 'dict.b', 'dict.a']);
});
