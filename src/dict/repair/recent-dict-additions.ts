import type { Bridge, CallOptions } from '../../bridge/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';
import { parseCid } from '../entry/cid.ts';
import { lastEvents, readEventLog } from '../event-log/event-log.ts';
import type { KeyType } from '../entry/key-type.ts';
import { FAILS_ON_IT, lookUpOne } from './repair-lookup.ts';
import type { Db } from '../vsync/vsync-store.ts';

/**
 * CIDs and keys added at DICT since a round's snapshot that are not local. A local CID of such a key is the other half
 * of a change, not a key that DICT lacks.
 */
export interface RecentDictAdditions {
  cids: ReadonlySet<string>;
  keys: ReadonlySet<string>;
  /** Whether there may be more of them; then any local CID may be such a half. */
  unsure: boolean;
}

export const NO_RECENT_ADDITIONS: RecentDictAdditions = { cids: new Set(), keys: new Set(), unsure: false };

/** 2,000 events since the snapshot. */
const PAGES = 10;

/**
 * Reads DICT's event log again before anything is removed ("404: superseded, read the events again"): the CIDs that
 * were added since the round's snapshot, or within its margin, and their keys. `unsure` when a CID of the round was
 * superseded and the log does not show it yet, when the log has gaps, or when DICT fails on a CID that was added.
 */
export async function readRecentDictAdditions(
  db: Db,
  bridge: Bridge,
  {
    runId,
    round,
    participant,
    keyType,
  }: { runId: string; round: number; participant: string; keyType: KeyType },
  call: CallOptions,
): Promise<RecentDictAdditions> {
  const { rows } = await db.query<{ since: Date; superseded: string[] }>(
    `select margin_starts_at as since, array(
         select encode(cid, 'hex') from dict.divergences d
         where d.run_id = r.run_id and d.round = r.round and side = 'DICT_ONLY' and decision = 'SUPERSEDED'
           and key is null) as superseded
     from dict.rounds r where run_id = $1 and round = $2`,
    [runId, round],
  );
  const { since, superseded } = one(rows);
  let log;
  try {
    log = await readEventLog(bridge, { participant, keyType, from: since, maxPages: PAGES }, call);
  } catch (error) {
    // This Bridge does not offer the event log.
    if (!(error instanceof DvError) || error.class !== 'not_retryable') throw error;
    return { cids: new Set(), keys: new Set(), unsure: superseded.length > 0 };
  }
  const last = lastEvents(log.events);
  const added = [...last.values()].filter(({ type }) => type === 'ADDED').map(({ cid }) => cid);
  let unsure = !log.unbroken || log.truncated || superseded.some((cid) => last.get(cid)?.type !== 'REMOVED');

  const keys = new Set<string>();
  for (const cid of await notHere(db, participant, keyType, added)) {
    try {
      const found = await lookUpOne(
        bridge,
        participant,
        keyType,
        { cid: parseCid(cid), side: 'DICT_ONLY' },
        call,
      );
      if (found.says === 'ENTRY') keys.add(found.entry.key);
      else if (found.says === 'REFUSED' && found.key !== undefined) keys.add(found.key);
    } catch (error) {
      if (!(error instanceof DvError) || !FAILS_ON_IT.has(error.code)) throw error;
      unsure = true;
    }
  }
  return { cids: new Set(added), keys, unsure };
}

/** Those of the CIDs that the base does not contain. */
async function notHere(
  db: Db,
  participant: string,
  keyType: KeyType,
  cids: readonly string[],
): Promise<string[]> {
  const { rows } = await db.query<{ cid: string }>(
    `select hex as cid from unnest($3::text[]) hex where not exists (
       select from dict.entries where participant = $1 and key_type = $2 and removed_at is null and cid = decode(hex, 'hex'))`,
    [participant, keyType, cids],
  );
  return rows.map(({ cid }) => cid);
}
