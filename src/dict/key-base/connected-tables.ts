import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** A participant's own key tables that feed the key base (docs/guides/connected-tables.md). */
export interface ConnectedSource {
  name: string;
  /** The participants that it feeds; null: all. */
  participants: string[] | null;
  view: string;
  applyFunction: string;
  tables: string[];
  connectedAt: Date;
  /** Null: not loaded yet. */
  loadedAt: Date | null;
  /** Number of keys that cannot be used. */
  rejects: number;
  /** Number of keys to be read again. */
  queued: number;
}

/** The connected sources, by name. */
export async function readSources(db: Db): Promise<ConnectedSource[]> {
  const { rows } = await db.query<ConnectedSource>(
    `select name, participants, source_view as view, apply_function as "applyFunction",
       array(select table_name from dict.feed_tables t where t.source = name order by 1) as tables,
       connected_at as "connectedAt", loaded_at as "loadedAt",
       (select count(*) from dict.feed_rejects r where r.source = name)::float8 as rejects,
       (select count(*) from dict.feed_queue q where q.source = name)::float8 as queued
     from dict.feed_sources order by name`,
  );
  return rows;
}

/** A key that a source has and the key base cannot use; fields that the mapping does not name are empty. */
export interface FeedReject {
  source: string;
  participant: string;
  keyType: string;
  key: string;
  /** A code such as REQUEST_ID_MISSING, or the SQLSTATE that the mapping raised. */
  reason: string;
  since: Date;
}

/** The rejects of a source (null: of all), oldest first, at most `limit`. */
export async function readRejects(db: Db, source: string | null, limit: number): Promise<FeedReject[]> {
  const { rows } = await db.query<FeedReject>(
    `select source, participant, key_type as "keyType", key, reason, since from dict.feed_rejects
     where $1::text is null or source = $1 order by since, participant, key_type, key limit $2`,
    [source, limit],
  );
  return rows;
}

/**
 * Makes the key base equal to what a source shows; returns how many keys differed. DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.
 */
export async function loadSource(db: Db, name: string): Promise<number> {
  const { rows } = await db.query<{ fed: number }>('select dict.load_source($1)::float8 as fed', [name]);
  return one(rows).fed;
}

/** Removes a source and its triggers; the key base stays. DV_SOURCE_UNKNOWN. */
export async function disconnectSource(db: Db, name: string): Promise<void> {
  await db.query('select dict.disconnect_source($1)', [name]);
}

/** Reads the queued keys of all sources again until only few are left; returns how many were read. */
export async function processFeedQueue(db: Db, batch = 1000): Promise<number> {
  let processed = 0;
  for (;;) {
    const { rows } = await db.query<{ n: number }>('select dict.process_feed_queue($1) as n', [batch]);
    const n = one(rows).n;
    processed += n;
    if (n < batch) return processed;
  }
}

/** Whether a VSync may be missing keys that the participant's own tables have. */
export async function isIncomplete(db: Db, participant: string, keyType: KeyType): Promise<boolean> {
  const { rows } = await db.query<{ incomplete: boolean }>('select dict.incomplete($1, $2) as incomplete', [
    participant,
    keyType,
  ]);
  return one(rows).incomplete;
}
