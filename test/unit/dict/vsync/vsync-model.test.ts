import fc from 'fast-check';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { useTestDatabase } from '../../../support/database.ts';
import { forgetAll, keptVSyncs, naiveVSyncs, onConnection, type Db } from '../entry/entries.ts';

const database = useTestDatabase();

const COLUMNS = `participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type,
  removed_at`;

/** A row to write: one of 30 keys (of two participants and three key types), one of four contents, perhaps removed. */
interface Row {
  key: number;
  content: number;
  removed: boolean;
}

type Step =
  | { do: 'insert' | 'upsert' | 'copy' | 'merge' | 'cte'; rows: Row[] }
  | {
      do: 'content' | 'date' | 'nothing' | 'rename' | 'move' | 'remove' | 'unremove' | 'delete';
      keys: number[];
    }
  | { do: 'fold' | 'fold elsewhere'; most: number }
  | { do: 'recalculate'; key: number }
  | { do: 'truncate' | 'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollback to savepoint' };

const row = fc.record({ key: fc.nat(29), content: fc.nat(3), removed: fc.boolean() });
const rows = fc.uniqueArray(row, { selector: ({ key }) => key, minLength: 1, maxLength: 12 });
const someKeys = fc.uniqueArray(fc.nat(29), { minLength: 1, maxLength: 15 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('insert', 'upsert', 'copy', 'merge', 'cte'), rows }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('content', 'date', 'nothing', 'rename', 'move', 'remove', 'unremove', 'delete'),
      keys: someKeys,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('fold', 'fold elsewhere'), most: fc.constantFrom(1, 3, 100) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('recalculate'), key: fc.nat(29) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate') }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('begin', 'commit', 'rollback', 'savepoint', 'rollback to savepoint'),
    }),
  },
);

const participantOf = (key: number) => (key % 2 === 0 ? '12345678' : '00000001');
const keyTypeOf = (key: number) => ['CPF', 'EMAIL', 'EVP'][key % 3]!;

/** The row's values; its RequestId belongs to the key, so that a content can come back (A → B → A). */
function values({ key, content, removed }: Row): (string | null)[] {
  return [
    participantOf(key),
    keyTypeOf(key),
    `key ${key}`,
    `00000000-0000-4000-8000-${String(key).padStart(12, '0')}`,
    'NATURAL_PERSON',
    '11122233300',
    `name ${content}`,
    `${content}`,
    'CACC',
    removed ? '2026-01-01T00:00:00Z' : null,
  ];
}

const literals = (rows: Row[]) =>
  rows
    .map(
      (row) =>
        `(${values(row)
          .map((value) => (value === null ? 'null' : `'${value}'`))
          .join(', ')})`,
    )
    .join(', ');

/** The statement of each step; `n` makes keys that never existed. */
const statements: {
  [S in Exclude<Step['do'], 'copy' | 'fold elsewhere'>]: (step: never, n: number) => string;
} = {
  insert: ({ rows }: { rows: Row[] }) =>
    `insert into dict.entries (${COLUMNS}) values ${literals(rows)} on conflict do nothing`,
  upsert: ({ rows }: { rows: Row[] }) =>
    `insert into dict.entries (${COLUMNS}) values ${literals(rows)} on conflict (participant, key_type, key) do update
     set name = excluded.name, account_number = excluded.account_number, removed_at = excluded.removed_at`,
  merge: ({ rows }: { rows: Row[] }) =>
    `merge into dict.entries e using (select participant, key_type, key, request_id::uuid, owner_type, tax_id_number, name,
       account_number, account_type, removed_at::timestamptz from (values ${literals(rows)}) v (${COLUMNS})) v
     on (e.participant, e.key_type, e.key) = (v.participant, v.key_type, v.key)
     when matched and v.name = 'name 0' then delete
     when matched then update set name = v.name, account_number = v.account_number
     when not matched then insert (${COLUMNS}) values (${COLUMNS.replaceAll(/(\w+)/g, 'v.$1')})`,
  // Three changes in one statement, of unrelated keys.
  cte: ({ rows }: { rows: Row[] }) =>
    `with gone as (delete from dict.entries where key like '%0' returning 1),
       changed as (update dict.entries set name = 'cte' where key like '%1' returning 1)
     insert into dict.entries (${COLUMNS}) values ${literals(rows)} on conflict do nothing`,
  content: (step: { keys: number[] }) => `update dict.entries set name = name || '!' where ${among(step)}`,
  date: (step: { keys: number[] }) =>
    `update dict.entries set opening_date = clock_timestamp(), owner_type = 'LEGAL_PERSON' where ${among(step)}`,
  nothing: (step: { keys: number[] }) => `update dict.entries set name = name where ${among(step)}`,
  rename: (step: { keys: number[] }, n) =>
    `update dict.entries set key = key || ' ${n}' where ${among(step)}`,
  move: (step: { keys: number[] }, n) =>
    `update dict.entries set participant = '00000001', key_type = 'PHONE', key = key_type || key || ' ${n} ' || participant
     where ${among(step)}`,
  remove: (step: { keys: number[] }) => `update dict.entries set removed_at = now() where ${among(step)}`,
  unremove: (step: { keys: number[] }) => `update dict.entries set removed_at = null where ${among(step)}`,
  delete: (step: { keys: number[] }) => `delete from dict.entries where ${among(step)}`,
  fold: ({ most }: { most: number }) => `select dict.fold_vsync_deltas(${most})`,
  recalculate: ({ key }: { key: number }) =>
    `select dict.recalculate_vsync('${participantOf(key)}', '${keyTypeOf(key)}')`,
  truncate: () => 'truncate dict.entries',
  begin: () => 'begin',
  commit: () => 'commit',
  rollback: () => 'rollback',
  savepoint: () => 'savepoint s',
  'rollback to savepoint': () => 'rollback to savepoint s',
};

const among = ({ keys }: { keys: number[] }) => `key ~ '^key (${keys.join('|')})\\M'`;

/** Every CID present now, with its key. */
async function present(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ cid: string }>(
    `select concat_ws(' ', participant, key_type, key, encode(cid, 'hex')) as cid from dict.entries where removed_at is null`,
  );
  return rows.map(({ cid }) => cid);
}

/**
 * Executes the steps one after the other and checks after each; `left` is what must be in the log of CIDs at the end.
 */
async function take(client: PoolClient, steps: readonly Step[]): Promise<void> {
  let left: string[] = [];
  let before: string[] = [];
  const kept: { left: string[]; before: string[] }[] = [];
  for (const [n, step] of steps.entries()) {
    if (step.do === 'begin' ? kept.length > 0 : needsTransaction.has(step.do) && kept.length === 0) continue;
    if (step.do === 'rollback to savepoint' && kept.length < 2) continue;
    if (step.do === 'savepoint' && kept.length > 1) continue;
    if (step.do === 'copy') await copy(client, step.rows, n);
    else if (step.do === 'fold elsewhere')
      await database.pool.query('select dict.fold_vsync_deltas($1)', [step.most]);
    else await client.query(statements[step.do](step as never, n));

    if (step.do === 'begin' || step.do === 'savepoint') kept.push({ left, before });
    if (step.do === 'commit') kept.length = 0;
    if (step.do === 'rollback' || step.do === 'rollback to savepoint') {
      ({ left, before } = step.do === 'rollback' ? kept[0]! : kept[1]!);
      if (step.do === 'rollback') kept.length = 0;
    } else {
      const after = await present(client);
      const here = new Set(after);
      left = [...left, ...before.filter((cid) => !here.has(cid))];
      before = after;
    }
    expect(await keptVSyncs(client), step.do).toEqual(await naiveVSyncs(client));
  }
  if (kept.length > 0) await client.query('commit');
  const { rows } = await client.query<{ cid: string; came_at: Date; left_at: Date | null }>(
    `select concat_ws(' ', participant, key_type, key, encode(cid, 'hex')) as cid, came_at, left_at from dict.cids`,
  );
  const byTime = rows.filter(({ left_at }) => left_at !== null);
  expect(byTime.map(({ cid }) => cid).sort()).toEqual(left.sort());
  expect(byTime.filter(({ came_at, left_at }) => left_at! < came_at)).toEqual([]);
  expect(
    rows
      .filter(({ left_at }) => left_at === null)
      .map(({ cid }) => cid)
      .sort(),
  ).toEqual(before.sort());
}

const needsTransaction = new Set<Step['do']>(['commit', 'rollback', 'savepoint', 'rollback to savepoint']);

async function copy(client: PoolClient, rows: Row[], n: number): Promise<void> {
  const lines = rows.map((row) =>
    values({ ...row, key: row.key + 30 * (n + 1) })
      .map((value) => value ?? '\\N')
      .join('\t'),
  );
  const stream = client.query(copyFrom(`copy dict.entries (${COLUMNS}) from stdin`));
  await pipeline(Readable.from([`${lines.join('\n')}\n`]), stream);
}

test('VSyncs and counts equal a naive XOR after any sequence of changes, and every CID is logged once as it leaves', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      await forgetAll(database.pool);
      await onConnection(database.pool, async (client) => {
        try {
          await take(client, steps);
        } finally {
          await client.query('rollback');
        }
      });
      await database.pool.query('select dict.fold_vsync_deltas()');
      expect(await keptVSyncs(database.pool)).toEqual(await naiveVSyncs(database.pool));
    }),
    { seed: 20_260_101, numRuns: 80 },
  );
});
