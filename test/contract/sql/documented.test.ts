import { readAsset } from '../../../src/assets.ts';
import { CHANNEL } from '../../../src/notify/index.ts';
import { expect, test } from 'vitest';
import { ISPB, useSql } from './support.ts';

const { database, query, start, waitingReconciliation, failRun } = useSql();
const doc = readAsset('docs/reference/sql.md');

const matches = (pattern: RegExp): string[] => [
  ...new Set([...doc.matchAll(pattern)].map(([, name = '']) => name)),
];
const examples = [...doc.matchAll(/```sql\n(.*?)```/gs)].map(([, sql = '']) => sql);
const documentedFunctions = matches(/^\| `((?:dict|workflow)\.[a-z_0-9]+)\(/gm);

test('every function of docs/reference/sql.md exists with exactly these parameters, and has a comment', async () => {
  const signatures = matches(/^\| `((?:dict|workflow)\.[a-z_0-9]+\(.*?\))` \|/gm);
  expect(signatures).toHaveLength(documentedFunctions.length);
  const rows = await query<{ signature: string; comment: string | null }>(
    `select format('%s.%s(%s)', n.nspname, p.proname, (
         select string_agg(format('%s %s', a.name, a.type) || coalesce(
             ' default ' || nullif(regexp_replace(lower(pg_get_function_arg_default(p.oid, a.i::int)), '::.*$', ''), ''), ''),
           ', ' order by a.i)
         from (select i, p.proargnames[i] as name, format_type(t, null) as type
               from unnest(p.proargtypes::oid[]) with ordinality u (t, i)) a)) as signature,
       obj_description(p.oid, 'pg_proc') as comment
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname || '.' || p.proname = any ($1)`,
    [documentedFunctions],
  );
  expect(rows.map(({ signature }) => signature).sort()).toEqual(signatures.sort());
  for (const { signature, comment } of rows) expect(comment, signature).toMatch(/\S{3}/);
});

test('a role that is granted the API may call exactly the functions that docs/reference/sql.md lists before the grant', async () => {
  const role = `api_${database.url.slice(-12)}`;
  await query(`create role ${role}`);
  await query('select workflow.grant_api($1)', [role]);
  const rows = await query<{ name: string }>(
    `select n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     cross join aclexplode(p.proacl) a
     where n.nspname in ('dict', 'workflow') and a.grantee = $1::regrole`,
    [role],
  );
  const before = documentedFunctions.slice(0, documentedFunctions.indexOf('workflow.grant_api'));
  expect(rows.map(({ name }) => name).sort()).toEqual(before.sort());
  await query(`drop owned by ${role}; drop role ${role}`);
});

test('every table and view has a comment, and those that docs/reference/sql.md names exist', async () => {
  const rows = await query<{ name: string; comment: string | null }>(
    `select n.nspname || '.' || c.relname as name, obj_description(c.oid, 'pg_class') as comment
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     -- The two of pg-migrations are made by it.
     where n.nspname in ('dict', 'workflow') and c.relkind in ('r', 'p', 'v', 'm') and c.relname not like 'migrations%'`,
  );
  expect(rows.filter(({ comment }) => (comment ?? '').trim() === '')).toEqual([]);
  const named = matches(/(?<!-)\b((?:dict|workflow)\.[a-z_0-9]+)\b(?!\()/g);
  expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(named));
});

test('docs/reference/sql.md names every view that a person may read, and the channel', async () => {
  const rows = await query<{ name: string }>(
    `select schemaname || '.' || viewname as name from pg_views
     where schemaname in ('dict', 'workflow') and viewname <> 'vsync_parts'`,
  );
  for (const { name } of rows) expect(doc).toContain(`| \`${name}\` |`);
  expect(doc).toContain(`listen ${CHANNEL};`);
});

test('every example of docs/reference/sql.md runs', async () => {
  expect(examples.length).toBeGreaterThan(10);
  const hash = /set_hash => '([0-9a-f]{64})'/.exec(doc)?.[1] ?? '';
  await query('insert into dict.participants (participant) values ($1)', [ISPB]);
  await waitingReconciliation(hash);
  await start('verification', ISPB, ['CPF', 'PHONE']);
  const [failed = ''] = await start('verification', ISPB, ['EMAIL']);
  await failRun(failed);
  const client = await database.pool.connect();
  try {
    for (const sql of examples) {
      await client.query('begin');
      // A person's session has the search_path of the server, not that of our programs.
      await client.query('set local search_path to default');
      await client.query(sql).catch((error: Error) => {
        throw new Error(`${error.message}\n${sql}`);
      });
      await client.query('rollback');
    }
  } finally {
    client.release(true);
  }
});
