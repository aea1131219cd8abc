import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';

export type Db = Pick<Pool, 'query'>;

/** A VSync (64 lowercase hex digits) and how many entries it covers. */
export interface KeptVSync {
  entries: number;
  vsync: string;
}

/** Reads the kept VSync of a participant and key type. Takes about a millisecond with any number of keys. */
export async function readVSync(db: Db, participant: string, keyType: KeyType): Promise<KeptVSync> {
  const { rows } = await db.query<{ entries: string; vsync: string }>(
    'select entries, vsync from dict.vsync($1, $2)',
    [participant, keyType],
  );
  const row = one(rows);
  return { entries: Number(row.entries), vsync: row.vsync };
}

/** DICT's last OK, and how many keys an undo put back and are still held. Undefined if there was none. */
export interface SyncState {
  lastOkAt?: Date | undefined;
  heldKeys?: number | undefined;
  heldSince?: Date | undefined;
}

/** Reads them for a participant and key type. */
export async function readSyncState(db: Db, participant: string, keyType: KeyType): Promise<SyncState> {
  const { rows } = await db.query<{ lastOkAt: Date | null; heldKeys: number; heldSince: Date | null }>(
    `select last_ok_at as "lastOkAt", held_keys::float8 as "heldKeys", held_since as "heldSince"
     from dict.sync_status where participant = $1 and key_type = $2`,
    [participant, keyType],
  );
  const [row] = rows;
  return {
    lastOkAt: row?.lastOkAt ?? undefined,
    heldKeys: row?.heldKeys || undefined,
    heldSince: row?.heldSince ?? undefined,
  };
}

export interface Recalculation extends KeptVSync {
  keptVsync: string;
  /** Number of buckets that were wrong and have been repaired; 0 if every change went through the triggers. */
  repairedBuckets: number;
}

/**
 * Computes a VSync from the entries in one snapshot, and repairs the kept one (Manual §9: the proof comes from the
 * local base).
 */
export async function recalculateVSync(
  db: Db,
  participant: string,
  keyType: KeyType,
): Promise<Recalculation> {
  const { rows } = await db.query<{
    entries: string;
    vsync: string;
    kept_vsync: string;
    repaired_buckets: number;
  }>('select * from dict.recalculate_vsync($1, $2)', [participant, keyType]);
  const row = one(rows);
  return {
    entries: Number(row.entries),
    vsync: row.vsync,
    keptVsync: row.kept_vsync,
    repairedBuckets: row.repaired_buckets,
  };
}

/** Those of the given key types that were never fully scanned, or not within `maxAgeHours`. */
export async function typesToScan(
  db: Db,
  participant: string,
  keyTypes: readonly KeyType[],
  maxAgeHours: number,
): Promise<KeyType[]> {
  const { rows } = await db.query<{ key_type: KeyType }>(
    `select t.key_type from unnest($2::text[]) with ordinality t (key_type, n)
     where not exists (select from dict.vsync_scans s
       where s.participant = $1 and s.key_type = t.key_type and s.scanned_at > workflow.now() - $3 * interval '1 hour')
     order by n`,
    [participant, keyTypes, maxAgeHours],
  );
  return rows.map((row) => row.key_type);
}

/** How often a worker folds, in ms. */
export const FOLD_EVERY_MS = 2000;

/** Folds all deltas into their buckets, until no delta is left or another worker is folding. Returns how many. */
export async function foldDeltas(db: Db, batch = 20_000): Promise<number> {
  let folded = 0;
  for (;;) {
    const { rows } = await db.query<{ n: number }>('select dict.fold_vsync_deltas($1) as n', [batch]);
    const n = one(rows).n;
    folded += n;
    if (n < batch) return folded;
  }
}

/**
 * Stores which participants this installation serves, for the SQL functions that work on all configured participants.
 */
export async function configureParticipants(db: Db, participants: readonly string[]): Promise<void> {
  await db.query(
    `with gone as (delete from dict.participants where participant <> all ($1::text[]))
     insert into dict.participants (participant) select unnest($1::text[]) on conflict do nothing`,
    [participants],
  );
}

/** The configured participants, as the worker that started last stored them; none before the first worker. */
export async function readParticipants(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ participant: string }>(
    'select participant from dict.participants order by 1',
  );
  return rows.map(({ participant }) => participant);
}
