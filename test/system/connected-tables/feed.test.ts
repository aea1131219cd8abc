import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { describe, expect, test } from 'vitest';
import { stored } from '../../unit/dict/entry/entries.ts';
import {
  bank,
  baseRows,
  connect,
  counts,
  differing,
  emptyBank,
  expectFed,
  ISPB,
  keys,
  oneTable,
  feedAll,
  threeTables,
  transaction,
} from './support.ts';

describe.each([
  ['one table', oneTable],
  ['three tables', threeTables],
])('%s', (_, mapping) => {
  test('existing rows are loaded, and later writes follow', async () => {
    const pool = await bank(mapping);
    await expectFed(pool, mapping, 20);
    await mapping.write(pool, keys('CPF', 7));
    await expectFed(pool, mapping, 27);
    expect(await differing(pool)).toBe(0);
  });

  test('a rolled back transaction leaves nothing', async () => {
    const pool = await bank(mapping);
    const before = await baseRows(pool);
    const { client, end } = await transaction(pool);
    await mapping.write(client, keys('CPF', 3));
    await client.query(mapping.rename);
    await client.query(mapping.deleteSome);
    await end('rollback');
    expect(await baseRows(pool)).toEqual(before);
    expect(await counts(pool)).toEqual({ EMAIL: 20 });
    await expectFed(pool, mapping, 20);
  });

  test('updates and deletes of many rows in one statement follow, and TRUNCATE too', async () => {
    const pool = await bank(mapping);
    await pool.query(mapping.rename);
    await expectFed(pool, mapping, 20);
    expect(new Set((await stored(pool)).map(({ name }) => name))).toEqual(new Set(['Outro Nome']));
    await pool.query(mapping.deleteSome);
    await expectFed(pool, mapping, 15);
    await pool.query(mapping.truncate);
    await expectFed(pool, mapping, 0);
    expect((await stored(pool)).filter(({ removed }) => removed)).toHaveLength(20);
    await mapping.write(pool, keys('EMAIL', 20));
    await expectFed(pool, mapping, 20);
  });

  test('a change carries the transaction of the write that made it', async () => {
    const pool = await bank(mapping);
    const { client, end } = await transaction(pool);
    await client.query(mapping.rename);
    const { rows } = await client.query<{ xid: string }>('select pg_current_xact_id() as xid');
    await end('commit');
    const changed = await pool.query('select distinct changed_xid as xid from dict.entries');
    expect(changed.rows).toEqual(rows);
  });

  test('once disconnected, the key base follows no more, and can be connected again', async () => {
    const pool = await bank(mapping);
    await pool.query(`select dict.disconnect_source('core')`);
    const { rows } = await pool.query(`select tgname from pg_trigger where tgname like 'dict_vsync%'`);
    expect(rows).toEqual([]);
    const before = await baseRows(pool);
    await pool.query(mapping.deleteSome);
    await mapping.write(pool, keys('CPF', 3));
    expect(await baseRows(pool)).toEqual(before);
    const [connecting = ''] = /^select dict\.connect_source.*/ms.exec(mapping.sql[1] ?? '') ?? [];
    await pool.query(connecting);
    expect(await differing(pool)).toBe(8);
    await expectFed(pool, mapping, 18);
  });
});

test('COPY into the bank’s table follows', async () => {
  const pool = await bank(oneTable, 0);
  const lines = keys('EVP', 2000).map(({ key, requestId }) =>
    [ISPB, 'EVP', key, requestId, 'F', '11122233300', 'Ana', '\\N', '1', '22', 'CACC', '\\N'].join('\t'),
  );
  const { client, end } = await transaction(pool);
  await pipeline(
    Readable.from([`${lines.join('\n')}\n`]),
    client.query(copyFrom('copy bank.pix_keys from stdin')),
  );
  await end('commit');
  await expectFed(pool, oneTable, 2000);
});

test('a renamed key is removed under its old name and added under its new one', async () => {
  const pool = await bank(oneTable, 3);
  await pool.query(`update bank.pix_keys set pix_key = 'outra.' || pix_key`);
  await expectFed(pool, oneTable, 3);
  expect((await stored(pool)).filter(({ removed }) => removed)).toHaveLength(3);
});

test("loading repairs what was written without the triggers, in the bank's tables or in the key base", async () => {
  const pool = await bank(oneTable, 12);
  const { client, end } = await transaction(pool);
  await client.query('set local session_replication_role = replica');
  await client.query(
    `delete from bank.pix_keys where pix_key in (select pix_key from bank.pix_keys limit 2)`,
  );
  await client.query(
    `update bank.pix_keys set account = '99' where pix_key in (select pix_key from bank.pix_keys limit 3)`,
  );
  await oneTable.write(client, keys('CPF', 4));
  await end('commit');
  await pool.query(
    `update dict.entries set name = 'Alheio' where key = (select max(pix_key) from bank.pix_keys where kind = 'EMAIL')`,
  );
  const differed = await differing(pool);
  expect(differed).toBeGreaterThanOrEqual(9);
  await expectFed(pool, oneTable, 14);
  expect(await differing(pool)).toBe(0);
});

test('connecting takes over an existing key base and removes what the tables lack', async () => {
  const pool = await emptyBank();
  const { insert } = await import('../../unit/dict/entry/entries.ts');
  await insert(pool, [...keys('EMAIL', 30), ...keys('EVP', 2)]);
  await connect(pool, oneTable, keys('EMAIL', 20));
  await expectFed(pool, oneTable, 20);
  expect((await stored(pool)).filter(({ removed }) => removed)).toHaveLength(12);
});

test('a key queued in another cluster, and brought here by a dump, is processed too', async () => {
  const pool = await bank(oneTable, 3);
  await pool.query(`update dict.entries set name = 'Alheio'`);
  // As it is left by a writer that found the key locked, and by a pass that waited for those beside it.
  await pool.query(
    `insert into dict.feed_queue (source, participant, key_type, key, missed, look_again_after)
     select f.name, e.participant, e.key_type, e.key, true, '999999999999'
     from dict.feed_sources f, dict.entries e`,
  );
  await feedAll(pool);
  expect((await pool.query(`select from dict.entries where name = 'Alheio'`)).rowCount).toBe(0);
  await expectFed(pool, oneTable, 3);
});

test('only named columns feed: a changed balance feeds nothing, swapped rows do', async () => {
  const pool = await bank(threeTables, 6);
  await pool.query(`update core.accounts set balance = balance + 1`);
  expect((await pool.query('select from dict.feed_queue where not missed')).rowCount).toBe(0);
  await pool.query(
    `update core.accounts a set number = o.number, agency = o.agency, kind = o.kind
     from (select lead(number, 1, '1') over w as number, agency, kind, id from core.accounts window w as (order by id)) o
     where o.id = a.id`,
  );
  await expectFed(pool, threeTables, 6);
});

test('a table may lose a column, and may have columns that the mapping does not know', async () => {
  const pool = await bank(oneTable, 4);
  await pool.query('alter table bank.pix_keys add column note text, add column drop_me integer default 4');
  await pool.query('alter table bank.pix_keys drop column drop_me');
  await pool.query(`update bank.pix_keys set full_name = 'Bia', note = 'x'`);
  await expectFed(pool, oneTable, 4);
  expect(new Set((await stored(pool)).map(({ name }) => name))).toEqual(new Set(['Bia']));
});

test('a writer of the bank’s tables needs no permission on our own', async () => {
  const pool = await bank(oneTable, 2);
  const { client, end } = await transaction(pool);
  await client.query(
    `create role teller; grant usage on schema bank to teller; grant all on bank.pix_keys to teller`,
  );
  await client.query('set local role teller');
  await oneTable.write(client, keys('CPF', 3));
  await client.query('delete from bank.pix_keys where kind = $1', ['EMAIL']);
  await client.query('reset role');
  expect((await client.query('select from dict.entries where removed_at is null')).rowCount).toBe(3);
  expect((await client.query('select from dict.feed_rejects')).rowCount).toBe(0);
  await end('rollback');
});
