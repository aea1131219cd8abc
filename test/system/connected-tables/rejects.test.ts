import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { cli } from '../../unit/cli/support.ts';
import { createMetrics } from '../../../src/http/metrics.ts';
import {
  bank,
  connect,
  counts,
  emptyBank,
  expectFed,
  incomplete,
  ISPB,
  keys,
  oneTable,
  rejects,
  feedOnce,
  feedAll,
} from './support.ts';

const ALL = [...KEY_TYPES].sort();

/** A bank with three e-mail keys, of which 'a@b' is about to become unusable. */
async function threeKeys(): Promise<Pool> {
  const pool = await bank(oneTable, 3);
  await pool.query(
    `update bank.pix_keys set pix_key = 'a@b' where pix_key = (select min(pix_key) from bank.pix_keys)`,
  );
  return pool;
}

describe('an unusable row can be written, is listed as a reject, and is in no VSync', () => {
  test.each([
    [`request_id = null`, `${ISPB} EMAIL a@b REQUEST_ID_MISSING`, ['EMAIL']],
    [`request_id = ''`, `${ISPB} EMAIL a@b REQUEST_ID_MISSING`, ['EMAIL']],
    [`request_id = 'no uuid'`, `${ISPB} EMAIL a@b REQUEST_ID_INVALID`, ['EMAIL']],
    [`person = 'X'`, `${ISPB} EMAIL a@b OWNER_TYPE_MISSING`, ['EMAIL']],
    [`document = null`, `${ISPB} EMAIL a@b TAX_ID_NUMBER_MISSING`, ['EMAIL']],
    [`full_name = null`, `${ISPB} EMAIL a@b NAME_MISSING`, ['EMAIL']],
    [`account = null`, `${ISPB} EMAIL a@b ACCOUNT_NUMBER_MISSING`, ['EMAIL']],
    [`account_kind = null`, `${ISPB} EMAIL a@b ACCOUNT_TYPE_MISSING`, ['EMAIL']],
    [`document = repeat('1', 41)`, `${ISPB} EMAIL a@b TAX_ID_NUMBER_INVALID`, ['EMAIL']],
    [`full_name = repeat('n', 301)`, `${ISPB} EMAIL a@b NAME_INVALID`, ['EMAIL']],
    [`kind = 'CAR'`, `${ISPB} CAR a@b KEY_TYPE_UNKNOWN`, ALL],
    [`ispb = '1234'`, `1234 EMAIL a@b PARTICIPANT_INVALID`, ['EMAIL']],
    [`pix_key = ''`, `${ISPB} EMAIL  KEY_MISSING`, ['EMAIL']],
    [`pix_key = repeat('k', 78)`, `${ISPB} EMAIL ${'k'.repeat(78)} KEY_INVALID`, ['EMAIL']],
    // Longer than any index accepts.
    [`pix_key = repeat(md5('k'), 60)`, /^12345678 EMAIL \w{100} KEY_INVALID$/, ['EMAIL']],
  ])('%s', async (spoil, reject, types) => {
    const pool = await threeKeys();
    await pool.query('alter table bank.pix_keys drop constraint pix_keys_pkey');
    const { rowCount } = await pool.query(`update bank.pix_keys set ${spoil} where pix_key = 'a@b'`);
    expect(rowCount).toBe(1);
    const [found, ...others] = await rejects(pool);
    expect(others).toEqual([]);
    if (typeof reject === 'string') expect(found).toBe(reject);
    else expect(found).toMatch(reject);
    expect(await incomplete(pool)).toEqual(types);
    expect(await counts(pool)).toEqual({ EMAIL: 2 });

    // Loading gives the same result, and the reject ends with the row.
    await pool.query(`delete from dict.feed_rejects; select dict.load_source('core')`);
    expect(await rejects(pool)).toEqual([found]);
    await pool.query(
      `delete from bank.pix_keys where pix_key not like '%.%' or ispb <> '${ISPB}' or kind <> 'EMAIL'`,
    );
    expect(await rejects(pool)).toEqual([]);
    expect(await incomplete(pool)).toEqual([]);
  });
});

test('a row whose key is null is a reject', async () => {
  const pool = await threeKeys();
  await pool.query(
    `alter table bank.pix_keys drop constraint pix_keys_pkey, alter pix_key drop not null, alter kind drop not null`,
  );
  await pool.query(`update bank.pix_keys set pix_key = null where pix_key = 'a@b'`);
  expect(await rejects(pool)).toEqual([`${ISPB} EMAIL  KEY_MISSING`]);
  expect(await counts(pool)).toEqual({ EMAIL: 2 });
  await pool.query(`update bank.pix_keys set pix_key = 'c@d', kind = null where pix_key is null`);
  expect(await rejects(pool)).toEqual([`${ISPB}  c@d KEY_TYPE_UNKNOWN`]);
  expect(await incomplete(pool)).toEqual(ALL);
  await pool.query(`update bank.pix_keys set kind = 'EMAIL' where kind is null`);
  expect(await rejects(pool)).toEqual([]);
  await expectFed(pool, oneTable, 3);
});

test('a key that the view shows twice is a reject, and neither row is chosen', async () => {
  const pool = await threeKeys();
  await pool.query('alter table bank.pix_keys drop constraint pix_keys_pkey');
  await pool.query(
    `insert into bank.pix_keys select ispb, kind, pix_key, request_id, person, document, 'Outro' from bank.pix_keys where pix_key = 'a@b'`,
  );
  expect(await rejects(pool)).toEqual([`${ISPB} EMAIL a@b KEY_TWICE`]);
  await pool.query(`delete from bank.pix_keys where full_name = 'Outro'`);
  expect(await rejects(pool)).toEqual([]);
  await expectFed(pool, oneTable, 3);
});

test('a row of a participant that the source was not connected for is a reject', async () => {
  const pool = await emptyBank();
  const [tables = '', map = ''] = oneTable.sql;
  await pool.query(tables);
  await pool.query(map.replace("(text, jsonb, jsonb)')", `(text, jsonb, jsonb)', array['${ISPB}'])`));
  expect(await incomplete(pool)).toEqual([]);
  await oneTable.write(pool, [
    ...keys('EMAIL', 2),
    { ...keys('EMAIL', 3)[2]!, participant: '87654321', key: 'x@y' },
  ]);
  expect(await incomplete(pool), 'never loaded').toEqual(ALL);
  await pool.query(`select dict.load_source('core')`);
  expect(await rejects(pool)).toEqual(['87654321 EMAIL x@y PARTICIPANT_INVALID']);
  expect(await incomplete(pool)).toEqual(['EMAIL']);
});

test('of many rows in one statement, those for which the mapping raises an error are rejects, and all others follow', async () => {
  const pool = await bank(oneTable, 0);
  await pool.query(`create or replace view bank.dict_keys as
    select ispb as participant, kind as key_type, pix_key as key, request_id,
      case person when 'F' then 'NATURAL_PERSON' when 'J' then 'LEGAL_PERSON' end as owner_type,
      document as tax_id_number, full_name as name, trade_name, agency as branch,
      (100 / (account::numeric - 13))::text as account_number, account_kind as account_type, opened_at as opening_date
    from bank.pix_keys`);
  const entries = keys('EMAIL', 300).map((entry, i) => ({
    ...entry,
    accountNumber: i === 7 || i === 251 ? '13' : i === 100 ? 'none' : '63',
  }));
  await oneTable.write(pool, entries);
  expect((await rejects(pool)).sort()).toEqual(
    [
      `${ISPB} EMAIL ${entries[7]!.key} 22012`,
      `${ISPB} EMAIL ${entries[251]!.key} 22012`,
      `${ISPB} EMAIL ${entries[100]!.key} 22P02`,
    ].sort(),
  );
  expect(await counts(pool)).toEqual({ EMAIL: 297 });
  await pool.query(`update bank.pix_keys set account = '63'`);
  expect(await rejects(pool)).toEqual([]);
  await expectFed(pool, oneTable, 300);
});

test('when a mapping breaks, writes continue and all VSyncs are incomplete, until it is repaired and catches up', async () => {
  const pool = await bank(oneTable, 3);
  await pool.query('alter view bank.dict_keys rename column request_id to rid');
  await oneTable.write(pool, keys('CPF', 4));
  await pool.query(`delete from bank.pix_keys where kind = 'EMAIL'`);
  expect(await rejects(pool)).toEqual(['   42703']);
  expect(await incomplete(pool)).toEqual(ALL);
  await feedOnce(pool);
  expect(await rejects(pool)).toEqual(['   42703']);
  expect(await counts(pool)).toEqual({ EMAIL: 3 });
  await pool.query('alter view bank.dict_keys rename column rid to request_id');
  await feedAll(pool);
  expect(await rejects(pool)).toEqual([]);
  await expectFed(pool, oneTable, 4);
});

test('a keys function that raises an error makes the feed look at all keys', async () => {
  const pool = await bank(oneTable, 3);
  await pool.query(`create or replace function bank.keys_of(r bank.pix_keys) returns setof dict.key_ref
    language plpgsql as $$ begin raise exception 'no'; end $$`);
  await oneTable.write(pool, keys('CPF', 4));
  await pool.query(`update bank.pix_keys set full_name = 'Bia'`);
  expect(await rejects(pool)).toEqual(['   P0001']);
  await feedAll(pool);
  expect(await rejects(pool)).toEqual([]);
  await expectFed(pool, oneTable, 7);
});

test('the command and the metrics say that a VSync is incomplete', async () => {
  const pool = await threeKeys();
  const { rows } = await pool.query<{ name: string }>('select current_database() as name');
  const url = new URL((pool.options as { connectionString: string }).connectionString);
  expect(url.pathname).toBe(`/${rows[0]!.name}`);
  await pool.query(`update bank.pix_keys set request_id = null where pix_key = 'a@b'`);
  const env = { DATABASE_URL: url.href };
  const shown = await cli(['vsync', '--json'], { env });
  expect(
    shown
      .json<{ vsyncs: { keyType: string; incomplete?: true }[] }>()
      .vsyncs.filter((row) => row.incomplete === true),
  ).toEqual([expect.objectContaining({ keyType: 'EMAIL', entries: 2 })]);
  expect(shown.stderr).toMatch(/^VSync incomplete: 12345678 EMAIL /m);
  expect(shown.exitCode).toBe(0);
  const metrics = await createMetrics(pool).registry.metrics();
  expect(metrics).toContain(`dict_vsync_vsync_incomplete{participant="${ISPB}",key_type="EMAIL"} 1`);
  expect(metrics).toContain(`dict_vsync_vsync_incomplete{participant="${ISPB}",key_type="CPF"} 0`);
  expect(metrics).toContain('dict_vsync_feed_queued 0');
});

test('connecting twice, or connecting something that cannot be a mapping, is refused', async () => {
  const pool = await emptyBank();
  await connect(pool, oneTable);
  const apply = `'bank.apply_dict(text, jsonb, jsonb)'`;
  await pool.query(`create view bank.few as select ispb as participant from bank.pix_keys;
    create view bank.odd as select ispb as participant, kind as key_type, 5 as key, request_id, person as owner_type,
      document as tax_id_number, full_name as name, trade_name, agency as branch, account as account_number,
      account_kind as account_type, opened_at as opening_date from bank.pix_keys;
    create function bank.other(x integer) returns setof dict.key_ref language sql as 'select null, null, null'`);
  const refused = async (sql: string, code = 'DV_SOURCE_INVALID') =>
    expect(pool.query(sql), sql).rejects.toMatchObject({ code: 'DV000', detail: code });
  await refused(`select dict.connect_source('core', 'bank.dict_keys', ${apply})`);
  await refused(`select dict.connect_source('other', 'bank.dict_keys', ${apply})`);
  await refused(`select dict.feed_table('core', 'bank.dict_keys', 'bank.keys_of(bank.pix_keys)')`);
  await refused(`select dict.feed_table('core', 'bank.pix_keys', 'bank.other(integer)')`);
  await refused(
    `select dict.feed_table('core', 'bank.pix_keys', 'bank.keys_of(bank.pix_keys)', array['none'])`,
  );
  await refused(
    `select dict.feed_table('none', 'bank.pix_keys', 'bank.keys_of(bank.pix_keys)')`,
    'DV_SOURCE_UNKNOWN',
  );
  await refused(`select dict.load_source('none')`, 'DV_SOURCE_UNKNOWN');
  await refused(`select dict.disconnect_source('none')`, 'DV_SOURCE_UNKNOWN');
  await pool.query(`select dict.disconnect_source('core')`);
  await refused(`select dict.connect_source('Core', 'bank.dict_keys', ${apply})`);
  await refused(`select dict.connect_source('core', 'bank.few', ${apply})`);
  await refused(`select dict.connect_source('core', 'bank.odd', ${apply})`);
  await refused(`select dict.connect_source('core', 'bank.dict_keys', 'bank.other(integer)')`);
  await refused(`select dict.connect_source('core', 'bank.dict_keys', null)`);
  await refused(
    `select dict.connect_source('core', 'bank.dict_keys', ${apply}, array['1'])`,
    'DV_ISPB_INVALID',
  );
});

test('a person without permissions cannot make a mapping run as the owner', async () => {
  const pool = await bank(oneTable, 1);
  await pool.query(
    `create role clerk_of_${process.pid}; grant usage on schema dict to clerk_of_${process.pid}`,
  );
  const client = await pool.connect();
  await client.query(`begin; set local role clerk_of_${process.pid}`);
  for (const sql of [`select dict.load_source('core')`, `select dict.disconnect_source('core')`]) {
    await client.query('savepoint s');
    await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' });
    await client.query('rollback to s');
  }
  await client.query('create temp table mine (a text)');
  await expect(
    client.query(
      `create trigger t after insert on mine for each statement execute function dict.feed_changed('core', 'select 1')`,
    ),
  ).rejects.toMatchObject({ code: '42501' });
  await client.query('rollback');
  client.release();
  await pool.query(`drop owned by clerk_of_${process.pid}; drop role clerk_of_${process.pid}`);
});
