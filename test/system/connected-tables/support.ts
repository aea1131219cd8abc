import type { Pool, PoolClient } from 'pg';
import { expect, onTestFinished, vi } from 'vitest';
import { readAsset } from '../../../src/assets.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { processFeedQueue } from '../../../src/dict/key-base/connected-tables.ts';
import { readVSync } from '../../../src/dict/vsync/vsync-store.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { createTestDatabase } from '../../support/database.ts';
import { keptVSyncs, naiveVSyncs } from '../../unit/dict/entry/entries.ts';
import { ISPB, keys } from '../../support/key-base.ts';

export { ISPB, keys } from '../../support/key-base.ts';

/** A complete mapping: its SQL as in the documentation, and how to write entries as the bank's own programs do. */
export interface Mapping {
  view: string;
  /** The SQL of the tables, then of the mapping. */
  sql: string[];
  write(db: Pick<Pool, 'query'>, entries: readonly Entry[]): Promise<void>;
  /** Gives every owner the name "Outro Nome", deletes five e-mail keys, empties the tables. */
  rename: string;
  deleteSome: string;
  truncate: string;
}

function examples(file: string, heading: string): string[] {
  const [, section = ''] = readAsset(file).split(`## ${heading}\n`);
  const [own = ''] = section.split(/^## /m);
  return [...own.matchAll(/```sql\n(.*?)```/gs)].map(([, sql = '']) => sql);
}

const ROWS = `jsonb_to_recordset($1::jsonb) as x ("participant" text, "keyType" text, "key" text, "requestId" text,
  "ownerType" text, "taxIdNumber" text, "name" text, "tradeName" text, "branch" text, "accountNumber" text,
  "accountType" text, "openingDate" timestamptz)`;

/** docs/guides/connected-tables.md, "One table". */
export const oneTable: Mapping = {
  view: 'bank.dict_keys',
  rename: `update bank.pix_keys set full_name = 'Outro Nome'`,
  deleteSome: `delete from bank.pix_keys where pix_key in (
    select pix_key from bank.pix_keys where kind = 'EMAIL' order by 1 limit 5)`,
  truncate: 'truncate bank.pix_keys',
  sql: examples('docs/guides/connected-tables.md', 'One table'),
  async write(db, entries) {
    await db.query(
      `insert into bank.pix_keys
       select x."participant", "keyType", "key", "requestId", case "ownerType" when 'NATURAL_PERSON' then 'F' else 'J' end,
         "taxIdNumber", x."name", "tradeName", "branch", "accountNumber", "accountType", "openingDate" from ${ROWS}`,
      [JSON.stringify(entries)],
    );
  },
};

/** docs/guides/connected-tables.md, "Key, account and owner in three tables". */
export const threeTables: Mapping = {
  view: 'core.dict_keys',
  rename: `update core.owners set full_name = 'Outro Nome'`,
  deleteSome: `delete from core.keys where pix_key in (
    select pix_key from core.keys where kind = 'EMAIL' order by 1 limit 5)`,
  truncate: 'truncate core.keys, core.accounts, core.owners',
  sql: examples('docs/guides/connected-tables.md', 'Key, account and owner in three tables'),
  async write(db, entries) {
    const rows = [JSON.stringify(entries)];
    await db.query(
      `insert into core.owners (person, document, full_name, trade_name)
       select distinct on ("taxIdNumber") "ownerType", "taxIdNumber", x."name", "tradeName" from ${ROWS} on conflict do nothing`,
      rows,
    );
    await db.query(
      `insert into core.accounts (agency, number, kind, opened_at)
       select distinct on ("branch", "accountNumber", "accountType") "branch", "accountNumber", "accountType", "openingDate"
       from ${ROWS} on conflict do nothing`,
      rows,
    );
    await db.query(
      `insert into core.keys (ispb, kind, pix_key, request_id, account_id, owner_id)
       select x."participant", "keyType", "key", "requestId"::uuid, a.id, o.id from ${ROWS}
       join core.accounts a on (a.agency is not distinct from "branch") and a.number = "accountNumber" and a.kind = "accountType"
       join core.owners o on o.document = "taxIdNumber"`,
      rows,
    );
  },
};

/** Makes the tables with these entries in them, connects and loads them. */
export async function connect(pool: Pool, mapping: Mapping, entries: readonly Entry[] = []): Promise<void> {
  const [tables = '', map = ''] = mapping.sql;
  await pool.query(tables);
  await mapping.write(pool, entries);
  await pool.query(map);
  await pool.query(`select dict.load_source('core')`);
}

/** A migrated database of the test's own. */
export async function emptyBank(): Promise<Pool> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  return database.pool;
}

/** The same with a mapping connected, over N e-mail keys. */
export async function bank(mapping: Mapping, count = 20): Promise<Pool> {
  const pool = await emptyBank();
  await connect(pool, mapping, keys('EMAIL', count));
  return pool;
}

/** A transaction on a connection of its own, which the test must end. */
export async function transaction(
  pool: Pool,
  begin = 'begin',
): Promise<{ client: PoolClient; end(how: 'commit' | 'rollback'): Promise<void> }> {
  const client = await pool.connect();
  await client.query(begin);
  return {
    client,
    async end(how) {
      await client.query(how);
      client.release();
    },
  };
}

/** Loads again; returns how many keys differed. */
export async function differing(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(`select dict.load_source('core')::integer as n`);
  return rows[0]!.n;
}

const COLUMNS = `participant, key_type, key, request_id::text, owner_type, tax_id_number, name, trade_name, branch, account_number,
  account_type, opening_date`;

/** The bank's tables, through its view. */
export async function bankRows(pool: Pool, mapping: Mapping): Promise<unknown[]> {
  const { rows } = await pool.query(`select ${COLUMNS} from ${mapping.view} order by 1, 2, 3`);
  return rows;
}

/** The key base, in the same form. */
export async function baseRows(pool: Pool): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select ${COLUMNS} from dict.entries where removed_at is null order by 1, 2, 3`,
  );
  return rows;
}

/** Expects the key base to equal the bank's tables, and the VSyncs to be those of the base. */
export async function expectFed(pool: Pool, mapping: Mapping, count: number): Promise<void> {
  const bank = await bankRows(pool, mapping);
  expect(bank).toHaveLength(count);
  expect(await baseRows(pool)).toEqual(bank);
  expect(await keptVSyncs(pool)).toEqual(await naiveVSyncs(pool));
}

/** "<participant> <key type> <key> <reason>", sorted. */
export async function rejects(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ reject: string }>(
    `select concat_ws(' ', participant, key_type, key, reason) as reject from dict.feed_rejects order by 1`,
  );
  return rows.map(({ reject }) => reject);
}

/** The key types whose VSync says that it is incomplete. */
export async function incomplete(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ key_type: string }>(
    'select key_type from dict.vsyncs where incomplete and participant = $1 order by 1',
    [ISPB],
  );
  return rows.map(({ key_type }) => key_type);
}

/** The number of keys in each VSync that is not empty. */
export async function counts(pool: Pool): Promise<Record<string, number>> {
  const all: Record<string, number> = {};
  for (const keyType of KEY_TYPES) {
    const { entries } = await readVSync(pool, ISPB, keyType);
    if (entries > 0) all[keyType] = entries;
  }
  return all;
}

/** One pass of what the workers do continuously. */
export async function feedOnce(pool: Pool): Promise<void> {
  await processFeedQueue(pool);
}

/** Passes until nothing is left: transactions anywhere on the server can delay it for a moment. */
export async function feedAll(pool: Pool): Promise<void> {
  await vi.waitFor(
    async () => {
      await processFeedQueue(pool);
      expect((await pool.query('select from dict.feed_queue')).rowCount).toBe(0);
    },
    { timeout: 10_000, interval: 10 },
  );
}
