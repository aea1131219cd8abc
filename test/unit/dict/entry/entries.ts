import type { Pool, PoolClient } from 'pg';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';

export { ISPB, keys } from '../../../support/key-base.ts';

export type Db = Pick<Pool, 'query'>;

const COLUMNS = `participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
  account_number, account_type, opening_date`;

/** Inserts entries with one statement, as a bank's own program would. */
export async function insert(db: Db, entries: readonly Entry[]): Promise<void> {
  const column = (field: keyof Entry) => entries.map((entry) => entry[field]);
  await db.query(
    `insert into dict.entries (${COLUMNS}) select * from unnest($1::text[], $2::text[], $3::text[], $4::uuid[],
       $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[])`,
    [
      column('participant'),
      column('keyType'),
      column('key'),
      column('requestId'),
      column('ownerType'),
      column('taxIdNumber'),
      column('name'),
      column('tradeName'),
      column('branch'),
      column('accountNumber'),
      column('accountType'),
      column('openingDate'),
    ],
  );
}

/** A row of dict.entries as an Entry; the opening date in ISO form, UTC. */
export interface StoredEntry extends Entry {
  cid: string;
  removed: boolean;
}

/** The entry as `stored` returns it when it is present, byte by byte. */
export function asStored(entry: Entry): StoredEntry {
  return { ...entry, cid: computeCid(entry).toString('hex'), removed: false };
}

/** All rows, removed ones included. */
export async function stored(db: Db): Promise<StoredEntry[]> {
  const { rows } = await db.query<Omit<StoredEntry, 'openingDate'> & { openingDate: Date | null }>(
    `select participant, key_type as "keyType", key, request_id as "requestId", owner_type as "ownerType",
       tax_id_number as "taxIdNumber", name, trade_name as "tradeName", branch, account_number as "accountNumber",
       account_type as "accountType", opening_date as "openingDate", encode(cid, 'hex') as cid,
       removed_at is not null as removed
     from dict.entries order by participant, key_type, key`,
  );
  return rows.map((row) => ({ ...row, openingDate: row.openingDate?.toISOString() ?? null }));
}

/** "<participant> <key type>" → count and VSync of the present keys, with each CID computed again from its columns. */
export async function naiveVSyncs(db: Db): Promise<Record<string, string>> {
  const sets = new Map<string, { count: number; xor: bigint }>();
  for (const entry of await stored(db)) {
    if (entry.removed) continue;
    const name = `${entry.participant} ${entry.keyType}`;
    const set = sets.get(name) ?? { count: 0, xor: 0n };
    sets.set(name, set);
    set.count += 1;
    set.xor ^= BigInt(`0x${computeCid(entry).toString('hex')}`);
  }
  return Object.fromEntries(
    [...sets].map(([name, { count, xor }]) => [name, `${count} ${xor.toString(16).padStart(64, '0')}`]),
  );
}

/** The same from dict.vsyncs, without the empty sets, which must be shown as 0 entries and 64 zeros. */
export async function keptVSyncs(db: Db): Promise<Record<string, string>> {
  const { rows } = await db.query<{ participant: string; key_type: string; entries: string; vsync: string }>(
    'select participant, key_type, entries, vsync from dict.vsyncs',
  );
  const shown = rows.map((row) => [`${row.participant} ${row.key_type}`, `${row.entries} ${row.vsync}`]);
  return Object.fromEntries(shown.filter(([, vsync]) => vsync !== `0 ${'0'.repeat(64)}`));
}

/** Runs `work` on a connection of its own, which it then releases. */
export async function onConnection<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

/** Empties every table about keys, without the work of the triggers. */
export async function forgetAll(pool: Pool): Promise<void> {
  await onConnection(pool, async (client) => {
    await client.query(`begin; set local session_replication_role = replica;
      delete from dict.entries; delete from dict.cid_history; delete from dict.cid_changes; delete from dict.vsync_deltas; delete from dict.vsync_buckets;
      delete from dict.vsync_scans; delete from dict.participants; commit`);
  });
}

/** Whether a session of this database waits for a lock. */
export async function someoneWaits(pool: Pool): Promise<boolean> {
  const { rowCount } = await pool.query(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return (rowCount ?? 0) > 0;
}
