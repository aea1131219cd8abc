import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** A participant's own key tables that feed the key base (docs/guides/connected-tables.md). */
export interface ConnectedSource {
  name: string;
  /** Whom it feeds; null: everyone. */
  participants: string[] | null;
  view: string;
  applyFunction: string;
  tables: string[];
  connectedAt: Date;
  /** Null: not loaded yet. */
  loadedAt: Date | null;
  /** Keys that cannot be used. */
  rejects: number;
  /** Keys to be looked at again. */
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

/** A key that a source has and the key base cannot use; empty fields where the mapping names none. */
export interface FeedReject {
  source: string;
  participant: string;
  keyType: string;
  key: string;
  /** A code such as REQUEST_ID_MISSING, or the SQLSTATE of what the mapping raised. */
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

/** Makes the key base equal to what a source shows; tells how many keys differed. DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED. */
export async function loadSource(db: Db, name: string): Promise<number> {
  const { rows } = await db.query<{ fed: number }>('select dict.load_source($1)::float8 as fed', [name]);
  return one(rows).fed;
}

/** Takes a source's triggers away and forgets it; the key base stays. DV_SOURCE_UNKNOWN. */
export async function disconnectSource(db: Db, name: string): Promise<void> {
  await db.query('select dict.disconnect_source($1)', [name]);
}

/** Looks again at the queued keys of all sources until few are left; tells how many were looked at. */
export async function processFeedQueue(db: Db, batch = 1000): Promise<number> {
  let settled = 0;
  for (;;) {
    const { rows } = await db.query<{ n: number }>('select dict.process_feed_queue($1) as n', [batch]);
    const n = one(rows).n;
    settled += n;
    if (n < batch) return settled;
  }
}

/** Whether a VSync lacks keys that the participant's own tables have. */
export async function isIncomplete(db: Db, participant: string, keyType: KeyType): Promise<boolean> {
  const { rows } = await db.query<{ incomplete: boolean }>('select dict.incomplete($1, $2) as incomplete', [
    participant,
    keyType,
  ]);
  return one(rows).incomplete;
}
