import { beforeEach, expect, test } from 'vitest';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { forgetAll, insert, keys, onConnection } from '../entry/entries.ts';

const database = useTestDatabase();
const sql = (text: string, values: unknown[] = []) => database.pool.query(text, values);
const [first, second, third] = keys('EMAIL', 3) as [Entry, Entry, Entry];

beforeEach(() => forgetAll(database.pool));

/** Every CID that ever was, in the order they came: its key, and why it left ("" while it is there). */
async function history(): Promise<string[]> {
  const { rows } = await database.pool.query<{ key: string; cid: string; left_why: string | null }>(
    `select key, encode(cid, 'hex') as cid, case when left_at is not null then coalesce(left_why, '?') else '' end as left_why
     from dict.cids order by key, came_at, left_at`,
  );
  return rows.map(({ key, left_why }) => `${key}: ${left_why}`);
}

async function cidOf(key: string): Promise<string> {
  const { rows } = await database.pool.query<{ cid: string }>(
    `select encode(cid, 'hex') as cid from dict.entries where key = $1`,
    [key],
  );
  return rows[0]!.cid;
}

async function change(key: string, set: string): Promise<void> {
  await sql(`update dict.entries set ${set} where key = $1`, [key]);
}

test('a content that comes back (A → B → A) is logged three times, one after the other', async () => {
  await insert(database.pool, [first]);
  const a = await cidOf(first.key);
  await change(first.key, "name = 'Another'");
  const b = await cidOf(first.key);
  await change(first.key, `name = '${first.name.replaceAll("'", "''")}'`);
  const { rows } = await sql(
    `select encode(cid, 'hex') as cid, came_at::text, left_at::text, left_why, request_id
     from dict.cids order by came_at`,
  );
  expect(rows).toMatchObject([
    { cid: a, left_why: 'updated', request_id: first.requestId },
    { cid: b, left_why: 'updated' },
    { cid: a, left_at: null },
  ]);
  // To the microsecond.
  expect(rows[0].left_at).toEqual(rows[1].came_at);
  expect(rows[1].left_at).toEqual(rows[2].came_at);
});

test('within one transaction too, a CID comes before it leaves and after the one before it', async () => {
  await onConnection(database.pool, async (client) => {
    await client.query('begin');
    await insert(client, [first]);
    for (const name of ['B', 'C']) {
      await client.query('update dict.entries set name = $1', [name]);
    }
    await client.query('delete from dict.entries');
    await insert(client, [first]);
    await client.query('commit');
  });
  const { rows } = await sql(
    `select count(*)::int as cids, bool_and(came_at <= left_at) as in_order,
       bool_and(coalesce(left_at <= next, true)) as one_at_a_time
     from (select came_at, left_at, lead(came_at) over (order by came_at) as next from dict.cids) c`,
  );
  expect(rows).toEqual([{ cids: 4, in_order: true, one_at_a_time: true }]);
});

test('soft removal, return, deletion and truncation each log why', async () => {
  await insert(database.pool, [first, second, third]);
  await change(first.key, 'removed_at = now()');
  await change(first.key, 'removed_at = null');
  await sql('delete from dict.entries where key = $1', [second.key]);
  await change(first.key, "removed_at = now(), changed_why = 'the customer asked'");
  await sql('truncate dict.entries');
  const of = (...whys: [Entry, string][]) => whys.map(([entry, why]) => `${entry.key}: ${why}`).sort();
  expect((await history()).sort()).toEqual(
    of([first, 'removed'], [first, 'the customer asked'], [second, 'deleted'], [third, 'truncated']),
  );
});

test('a removed row that is deleted or truncated leaves no CID twice', async () => {
  await insert(database.pool, [first, second]);
  await sql('update dict.entries set removed_at = now()');
  await sql('delete from dict.entries where key = $1', [first.key]);
  await sql('truncate dict.entries');
  expect(await history()).toHaveLength(2);
});

test('a renamed key leaves under its old name and comes under its new one', async () => {
  await insert(database.pool, [first]);
  const old = await cidOf(first.key);
  await change(first.key, "key = 'renamed@example.com', changed_why = 'typing error'");
  const { rows } = await sql(
    `select key, encode(cid, 'hex') as cid, left_at, left_why from dict.cids order by came_at`,
  );
  expect(rows).toMatchObject([
    { key: first.key, cid: old, left_why: 'updated' },
    { key: 'renamed@example.com', left_at: null },
  ]);
});

test('a change outside the CID changes neither the log nor the time it came', async () => {
  await insert(database.pool, [first]);
  const before = (await sql('select came_at, cid from dict.cids')).rows;
  await change(first.key, "opening_date = '2020-01-01', owner_type = 'LEGAL_PERSON'");
  await change(first.key, "trade_name = ''");
  expect((await sql('select came_at, cid from dict.cids')).rows).toEqual(before);
});

test('a reason belongs to one change: a change without one does not inherit it, and the same reason given again counts', async () => {
  await insert(database.pool, [first]);
  await change(first.key, "name = 'B', changed_why = 'imported'");
  await change(first.key, "name = 'C', changed_why = 'imported'");
  await change(first.key, "name = 'D'");
  await change(first.key, "name = 'E', changed_why = 'imported'");
  await change(first.key, "name = 'E', changed_why = 'nothing happened'");
  expect(await history()).toEqual([
    `${first.key}: imported`,
    `${first.key}: imported`,
    `${first.key}: updated`,
    `${first.key}: imported`,
    `${first.key}: `,
  ]);
  const { rows } = await sql('select changed_why from dict.entries');
  expect(rows).toEqual([{ changed_why: 'imported' }]);
});

test('an upsert may give the same reason again, too', async () => {
  const upsert = (name: string) =>
    sql(
      `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       values ('12345678', 'EMAIL', 'a@example.com', '00000000-0000-4000-8000-000000000000', 'NATURAL_PERSON', '11122233300', $1, '1', 'CACC')
       on conflict (participant, key_type, key) do update set name = excluded.name, changed_why = 'fed'`,
      [name],
    );
  for (const name of ['A', 'B', 'C']) await upsert(name);
  expect(await history()).toEqual(['a@example.com: fed', 'a@example.com: fed', 'a@example.com: ']);
});

test('changed_xid changes with the content only', async () => {
  await insert(database.pool, [first]);
  const xid = async () => (await sql('select changed_xid from dict.entries')).rows[0].changed_xid as string;
  const inserted = await xid();
  await change(first.key, 'name = name');
  await change(first.key, "changed_why = 'nothing happened'");
  await change(first.key, 'changed_xid = pg_current_xact_id()');
  expect(await xid()).toBe(inserted);
  for (const set of [
    "name = 'Another'",
    "opening_date = '2020-01-01'",
    "owner_type = 'LEGAL_PERSON'",
    "key = 'renamed@example.com'",
    'removed_at = now()',
    'removed_at = null',
  ]) {
    const before = await xid();
    await sql(`update dict.entries set ${set}`);
    expect(BigInt(await xid()), set).toBeGreaterThan(BigInt(before));
  }
});

test('a writer of keys needs no permission on what the triggers keep', async () => {
  await onConnection(database.pool, async (client) => {
    await client.query(`begin; create role writer; grant usage on schema dict to writer;
      grant select, insert, update, delete, truncate on dict.entries to writer; set local role writer`);
    await insert(client, [first, second]);
    await client.query("update dict.entries set name = 'Another'");
    await client.query('delete from dict.entries where key = $1', [first.key]);
    await client.query('truncate dict.entries');
    await client.query('reset role');
    const { rows } = await client.query('select count(*)::int as n from dict.cid_log');
    expect(rows).toEqual([{ n: 4 }]);
    await client.query('rollback');
  });
});
