import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { listAssets, readAsset } from '../../../src/assets.ts';
import { shippedFunctions } from '../../../src/database/migrate/apply-functions.ts';
import { readFunctionFiles } from '../../../src/database/migrate/function-files.ts';
import { useTestDatabase } from '../../support/database.ts';

const database = useTestDatabase();
const files = readFunctionFiles();
const migrations = listAssets('migrations').map(readAsset).join('\n');
/** Their results are stored in the generated column `dict.entries.cid`: changing them changes the table. */
const STORED = ['dict.cid', 'dict.hmac_sha256'];

const ours = async <T extends object>(select: string): Promise<T[]> =>
  (
    await database.pool.query<T>(
      `select ${select} from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('workflow', 'dict')
         and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e') order by 1`,
    )
  ).rows;

test('each function and view is defined in exactly one file, named like it, and none in a migration', () => {
  const { definitions } = shippedFunctions();
  const names = definitions.map(({ name }) => name);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  for (const { name, path } of definitions) {
    expect(basename(path, '.sql')).toBe(name.split('.')[1]?.replaceAll('_', '-'));
  }
  const made = [...migrations.matchAll(/create (?:or replace )?(?:function|view) ([a-z_0-9.]+)/gi)];
  expect(made.map(([, name]) => name)).toEqual(expect.arrayContaining(STORED));
  expect(made).toHaveLength(STORED.length);
});

test('the database has the functions and views of the files and no others', async () => {
  const functions = await ours<{ name: string }>(`distinct n.nspname || '.' || p.proname as name`);
  const { rows: views } = await database.pool.query<{ name: string }>(
    `select schemaname || '.' || viewname as name from pg_views where schemaname in ('workflow', 'dict')`,
  );
  const { definitions } = shippedFunctions();
  expect([...functions, ...views].map(({ name }) => name).sort()).toEqual(
    [...STORED, ...definitions.map(({ name }) => name)].sort(),
  );
});

test('every function finds names in our schemas only, the temporary one last, or was bound when it was created', async () => {
  const functions = await ours<{ name: string; path: string | null; bound: boolean; language: string }>(
    `p.oid::regprocedure::text as name, p.prosqlbody is not null as bound,
     (select l.lanname from pg_language l where l.oid = p.prolang) as language,
     (select substr(setting, 13) from unnest(p.proconfig) setting where setting like 'search_path=%') as path`,
  );
  expect(functions.length).toBeGreaterThan(100);
  for (const { name, path, bound } of functions) {
    expect({ name, path }).toEqual({ name, path: bound ? null : 'pg_catalog, workflow, dict, pg_temp' });
  }
});

test('no function sets its own search_path, because one rule sets it for all', () => {
  for (const [path, text] of Object.entries(files)) expect(text, path).not.toMatch(/search_path/i);
});

test('every function file says what it is for, in a database comment or at its head', () => {
  const silent = Object.entries(files).filter(
    ([, text]) => !/^comment on (function|view)/m.test(text) && !text.startsWith('-- '),
  );
  expect(silent.map(([path]) => path)).toEqual([]);
});

test('sql folders contain nothing else', () => {
  const folders = new Set(Object.keys(files).map((path) => path.slice(0, path.lastIndexOf('/'))));
  for (const folder of folders) {
    const others = readdirSync(new URL(`../../../${folder}`, import.meta.url)).filter(
      (name) => !(`${folder}/${name}` in files),
    );
    expect(others, folder).toEqual([]);
  }
});
