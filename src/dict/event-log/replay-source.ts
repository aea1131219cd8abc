import type { Pool } from 'pg';
import { maybeOne, one } from '../../errors/rows.ts';
import type { Db } from '../vsync/vsync-store.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { LocalChange } from './replay.ts';

/** The last OK from DICT: both sides were equal then, and the snapshot identifies the local state. */
export interface ConfirmedSync {
  askedAt: Date;
  snapshot: string;
  hoursAgo: number;
}

/** The last OK of a participant and key type, if there was one. */
export async function lastConfirmed(
  db: Db,
  participant: string,
  keyType: KeyType,
): Promise<ConfirmedSync | undefined> {
  const { rows } = await db.query<ConfirmedSync>(
    `select asked_at as "askedAt", snapshot::text, extract(epoch from workflow.now() - asked_at)::float8 / 3600 as "hoursAgo"
     from dict.sync_verifications where participant = $1 and key_type = $2 and result = 'OK'
     order by asked_at desc limit 1`,
    [participant, keyType],
  );
  return maybeOne(rows);
}

/** Events appear up to 5 s late, and two clocks differ, so DICT's log is read from this long before an OK. */
const OVERLAP_MS = 10_000;

/** From when DICT's log is read to find what has changed since an OK. */
export function readFrom({ askedAt }: ConfirmedSync): Date {
  return new Date(askedAt.getTime() - OVERLAP_MS);
}

/** From when DICT's log may prove something about a CID: the last OK, if it is not older than `maxHours`. */
export async function proofStart(
  db: Db,
  { participant, keyType }: { participant: string; keyType: KeyType },
  maxHours: number,
): Promise<Date | undefined> {
  const confirmed = await lastConfirmed(db, participant, keyType);
  return confirmed === undefined || confirmed.hoursAgo > maxHours ? undefined : readFrom(confirmed);
}

export interface LocalReplay {
  vsync: string;
  changes: LocalChange[];
  /** Those of the CIDs asked for that the key base contains, in hex. */
  held: Set<string>;
}

/**
 * The local half of a replay, in one REPEATABLE READ snapshot: the VSync, each CID that was added or removed since
 * `confirmed`, and which of `asked` are in the key base. A CID was there at `confirmed` if the confirmed snapshot saw a
 * row with it, whether the row is still present or in the log.
 */
export async function readLocalReplay(
  pool: Pool,
  participant: string,
  keyType: KeyType,
  confirmed: ConfirmedSync,
  asked: readonly Buffer[],
): Promise<LocalReplay> {
  const client = await pool.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const vsync = await client.query<{ vsync: string }>('select vsync from dict.vsync($1, $2)', [
      participant,
      keyType,
    ]);
    const changes = await client.query<LocalChange>(LOCAL_CHANGES, [
      participant,
      keyType,
      confirmed.snapshot,
    ]);
    const held = await client.query<{ cid: string }>(
      `select encode(cid, 'hex') as cid from dict.entries
       where participant = $1 and key_type = $2 and removed_at is null and cid = any ($3)`,
      [participant, keyType, asked],
    );
    await client.query('commit');
    client.release();
    return {
      vsync: one(vsync.rows).vsync,
      changes: changes.rows,
      held: new Set(held.rows.map(({ cid }) => cid)),
    };
  } catch (error) {
    client.release(true);
    throw error;
  }
}

// xmin of the snapshot limits the index range; rows in it that the snapshot did see are excluded one by one.
const LOCAL_CHANGES = `
  with touched as (
    select cid from dict.entries
    where changed_xid >= pg_snapshot_xmin($3::pg_snapshot) and dict.changed_since(changed_xid, $3::pg_snapshot)
      and participant = $1 and key_type = $2 and removed_at is null
    union
    select cid from dict.cid_log
    where left_xid >= pg_snapshot_xmin($3::pg_snapshot) and dict.changed_since(left_xid, $3::pg_snapshot)
      and participant = $1 and key_type = $2)
  select t.cid,
    exists (select from dict.entries e
      where e.participant = $1 and e.key_type = $2 and e.cid = t.cid and e.removed_at is null) as now,
    exists (select from dict.entries e
      where e.participant = $1 and e.key_type = $2 and e.cid = t.cid and e.removed_at is null
        and pg_visible_in_snapshot(e.came_xid, $3::pg_snapshot))
    or exists (select from dict.cid_log l
      where l.cid = t.cid and l.participant = $1 and l.key_type = $2
        and dict.changed_since(l.left_xid, $3::pg_snapshot) and pg_visible_in_snapshot(l.came_xid, $3::pg_snapshot))
    as then
  from touched t`;
