import { sourceOf, writeToSource } from './connected-repair.ts';
import type { Entry } from '../entry/entry.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

// How a repair locks, reads, inserts, updates and removes the local entries that it decides about.

/** A local entry whose row is locked. */
export interface LocalRow {
  key: string;
  cid: string;
  present: boolean;
  notInFlight: boolean;
  content: unknown;
}

// Locks in key order, so that two repairs, or a repair and a writer of many keys, cannot deadlock.
const lockWhere = (condition: string) => `
  select e.key, encode(e.cid, 'hex') as cid, e.removed_at is null as present,
    not dict.in_flight(e.changed_xid, e.since, e.changed_why, r) and not dict.feed_missed(e.participant, e.key_type, e.key) as "notInFlight", dict.entry_json(e) as content
  from dict.entries e, dict.rounds r
  where r.run_id = $1 and r.round = $2 and e.participant = $3 and e.key_type = $4 and ${condition}
  order by e.key for update of e`;

export const LOCK_BY_KEY = lockWhere('e.key = any ($5)');
export const LOCK_BY_CID = lockWhere('e.cid = any ($5) and e.removed_at is null');

/** Keys without a row in the base, whose CID was removed after the snapshot. */
export const LEFT_SINCE = `
  select distinct l.key from dict.cid_log l, dict.rounds r
  where r.run_id = $1 and r.round = $2 and l.participant = $3 and l.key_type = $4 and l.key = any ($5)
    and dict.in_flight(l.left_xid, l.left_at, l.left_why, r)`;

/** The keys of CIDs that are no longer present. */
export const KEYS_OF_CIDS = `
  select distinct encode(cid, 'hex') as cid, key from dict.cid_log
  where participant = $1 and key_type = $2 and cid = any ($3)`;

/** An entry after a write. */
export interface Written {
  key: string;
  content: unknown;
}

export function contentByKey(rows: readonly Written[]): Map<string, unknown> {
  return new Map(rows.map(({ key, content }) => [key, content]));
}

/** The entries as rows for SQL, with exactly these columns. */
const ROWS = `jsonb_to_recordset($1::jsonb) as x ("participant" text, "keyType" text, "key" text, "requestId" uuid,
  "ownerType" text, "taxIdNumber" text, "name" text, "tradeName" text, "branch" text, "accountNumber" text,
  "accountType" text, "openingDate" timestamptz)`;

/**
 * Inserts entries whose key is not in the base; returns those inserted. For a connected source a row that is marked as
 * removed reserves the key until the source's tables are written.
 */
export async function insertEntries(tx: Db, entries: readonly Entry[]): Promise<Written[]> {
  if (entries.length === 0) return [];
  const source = await sourceOf(tx, entries[0]!.participant);
  const { rows } = await tx.query<Written>(
    `insert into dict.entries as e (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name,
       branch, account_number, account_type, opening_date, removed_at)
     select "participant", "keyType", "key", "requestId", "ownerType", "taxIdNumber", "name", "tradeName", "branch",
       "accountNumber", "accountType", "openingDate", case when $2 then workflow.now() end from ${ROWS} order by "key"
     on conflict do nothing returning e.key, dict.entry_json(e) as content`,
    [JSON.stringify(entries), source !== undefined],
  );
  if (source === undefined) return rows;
  const kept = new Set(rows.map(({ key }) => key));
  return writeEntriesToSource(
    tx,
    source,
    entries.filter(({ key }) => kept.has(key)),
    null,
  );
}

/** Writes entries to the tables of a connected source; returns them as the feed brought them back. */
async function writeEntriesToSource(
  tx: Db,
  source: string,
  entries: readonly Entry[],
  why: string | null,
): Promise<Written[]> {
  const scope = entries[0];
  if (scope === undefined) return [];
  const writes = entries.map((entry) => ({ key: entry.key, entry }));
  await writeToSource(tx, source, scope, writes, why);
  const { rows } = await tx.query<Written>(
    `select e.key, dict.entry_json(e) as content from dict.entries e
     where e.participant = $1 and e.key_type = $2 and e.key = any ($3)`,
    [scope.participant, scope.keyType, entries.map(({ key }) => key)],
  );
  return rows;
}

/** Overwrites locked entries; a soft-deleted one becomes present again. */
export async function updateEntries(tx: Db, entries: readonly Entry[], why: string): Promise<Written[]> {
  if (entries.length === 0) return [];
  const source = await sourceOf(tx, entries[0]!.participant);
  if (source !== undefined) return writeEntriesToSource(tx, source, entries, why);
  const { rows } = await tx.query<Written>(
    `update dict.entries e set request_id = "requestId", owner_type = "ownerType", tax_id_number = "taxIdNumber",
       name = x."name", trade_name = "tradeName", branch = x."branch", account_number = "accountNumber",
       account_type = "accountType", opening_date = "openingDate", removed_at = null, changed_why = $2
     from ${ROWS}
     where e.participant = x."participant" and e.key_type = "keyType" and e.key = x."key"
     returning e.key, dict.entry_json(e) as content`,
    [JSON.stringify(entries), why],
  );
  return rows;
}

/** Soft-deletes locked entries: their content is kept. */
export async function removeEntries(
  tx: Db,
  participant: string,
  keyType: KeyType,
  keys: readonly string[],
  why: string,
): Promise<void> {
  if (keys.length === 0) return;
  const source = await sourceOf(tx, participant);
  if (source !== undefined) {
    const writes = keys.map((key) => ({ key, entry: null }));
    await writeToSource(tx, source, { participant, keyType }, writes, why);
    return;
  }
  await tx.query(
    `update dict.entries set removed_at = workflow.now(), changed_why = $4
     where participant = $1 and key_type = $2 and key = any ($3)`,
    [participant, keyType, keys, why],
  );
}
