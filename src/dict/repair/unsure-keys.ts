import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** A key that waits for a person's decision. Personal data: show it only to the person who asks. */
export interface UnsureKey {
  participant: string;
  keyType: KeyType;
  key: string;
  /** The reconciliation that left it. */
  run: string;
  why: string;
  since: Date;
  /** Who has decided that it is to be removed; null: nobody yet. */
  decidedBy: string | null;
}

/** The keys that the last reconciliations left for a person to decide, at most `limit`, and their total number. */
export async function listUnsureKeys(
  db: Db,
  filter: { participant: string | undefined; keyTypes: readonly KeyType[] | undefined; limit: number },
): Promise<{ unsure: number; keys: UnsureKey[] }> {
  const { rows } = await db.query<UnsureKey & { total: number }>(
    `select participant, key_type as "keyType", key, run_id as run, why, since, decided_by as "decidedBy",
       count(*) over ()::float8 as total
     from dict.unsure_keys where ($1::text is null or participant = $1) and ($2::text[] is null or key_type = any ($2))
     order by participant, key_type, key limit $3`,
    [filter.participant ?? null, filter.keyTypes ?? null, filter.limit],
  );
  return { unsure: rows[0]?.total ?? 0, keys: rows.map(({ total: _total, ...key }) => key) };
}
