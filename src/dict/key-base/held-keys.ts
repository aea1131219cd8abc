import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** Why a divergence is HELD, as dict.divergences shows it. */
export const HELD_WHY = 'a person has undone a change of this key and has not released the key';

/** Those of the keys that are held. Called after their entries are locked, it sees what an undo has just committed. */
export async function heldKeys(
  db: Db,
  participant: string,
  keyType: KeyType,
  keys: readonly string[],
): Promise<Set<string>> {
  const { rows } = await db.query<{ key: string }>(
    `select key from dict.held_keys
     where participant = $1 and key_type = $2 and key = any ($3) and released_at is null`,
    [participant, keyType, keys],
  );
  return new Set(rows.map(({ key }) => key));
}

/** Marks keys that an undo has put back as held; keys that are already held do not change. */
export async function holdKeys(tx: Db, undoRunId: string, keys: readonly string[]): Promise<void> {
  await tx.query(
    `insert into dict.held_keys (participant, key_type, key, undo_run_id, by_whom, reason, held_at)
     select u.participant, u.key_type, k, u.undo_run_id, u.by_whom, u.reason, workflow.now()
     from dict.undos u, unnest($2::text[]) k where u.undo_run_id = $1
     on conflict do nothing`,
    [undoRunId, keys],
  );
}

/**
 * Decides as HELD the divergences of held keys: each CID that the key has or ever had in the base, and so also DICT's
 * CID that the undo removed. A CID of DICT that was never in the base shows its key only when it is fetched; applying
 * then checks again.
 */
export async function judgeHeld(tx: Db, runId: string, round: number): Promise<number> {
  const { rowCount } = await tx.query(
    `with held as (
       select h.participant, h.key_type, h.key from dict.held_keys h
       join dict.reconciliations n using (participant, key_type)
       where n.run_id = $1 and h.released_at is null),
     known as (
       select e.cid, e.key from held join dict.entries e using (participant, key_type, key)
       union
       select l.cid, l.key from held join dict.cid_history l using (participant, key_type, key)
       union
       -- The part of the log that is not folded yet has no index by key, so it is read once and not once for each key.
       select c.cid, c.key from dict.cid_changes c
       where c.cid is not null and ((c.participant, c.key_type, c.key) in (select participant, key_type, key from held)) is true)
     update dict.divergences d set decision = 'HELD', key = k.key, why = $3, decided_at = workflow.now()
     from known k
     where d.run_id = $1 and d.round = $2 and d.decision = 'PENDING' and d.cid = k.cid`,
    [runId, round, HELD_WHY],
  );
  return rowCount ?? 0;
}

/** A key that no reconciliation touches until it is released. Personal data: show it only to the person who asks. */
export interface HeldKey {
  participant: string;
  keyType: KeyType;
  key: string;
  undoRun: string;
  by: string;
  reason: string | null;
  heldAt: Date;
}

/** The keys that are held now, oldest first, at most `limit`, and their total number. */
export async function listHeldKeys(
  db: Db,
  filter: { participant: string | undefined; keyTypes: readonly KeyType[] | undefined; limit: number },
): Promise<{ held: number; keys: HeldKey[] }> {
  const scope = [filter.participant ?? null, filter.keyTypes ?? null];
  const where = `where released_at is null and ($1::text is null or participant = $1)
    and ($2::text[] is null or key_type = any ($2))`;
  const { rows: counted } = await db.query<{ held: number }>(
    `select count(*)::float8 as held from dict.held_keys ${where}`,
    scope,
  );
  const { rows } = await db.query<HeldKey>(
    `select participant, key_type as "keyType", key, undo_run_id as "undoRun", by_whom as by, reason, held_at as "heldAt"
     from dict.held_keys ${where} order by id limit $3`,
    [...scope, filter.limit],
  );
  return { held: one(counted).held, keys: rows };
}
