import type { Bridge, CallOptions } from '../../bridge/index.ts';
import { one } from '../../errors/rows.ts';
import { DvError } from '../../errors/dv-error.ts';
import { parseCid } from '../entry/cid.ts';
import { lastEvents } from '../event-log/event-log.ts';
import type { LogPatience } from '../event-log/log-patience.ts';
import { readRoundLog } from '../event-log/round-log.ts';
import type { KeyType } from '../entry/key-type.ts';
import { lookUp } from './repair-lookup.ts';
import type { Db } from '../vsync/vsync-store.ts';
import { PERHAPS_CHANGED, PERHAPS_OTHER_HALF } from './removal-evidence.ts';

/** What the repair of a round left alone. */
export interface LeftUndone {
  /** CIDs of all kinds that the round found. */
  found: number;
  /** Quarantined, or left for a person: another round changes nothing about them. */
  leftForPerson: number;
  inFlight: number;
  /** Keys still held. */
  held: number;
  /** Local-only keys that DICT refused to register. */
  unregistered: number;
  /** Divergences that another round may decide differently. */
  others: number;
}

export async function leftUndone(tx: Db, runId: string, round: number): Promise<LeftUndone> {
  const { rows } = await tx.query<LeftUndone>(
    `select count(*)::integer as found,
       count(*) filter (where decision in ('QUARANTINED', 'UNSURE'))::integer as "leftForPerson",
       count(*) filter (where decision = 'IN_FLIGHT')::integer as "inFlight",
       count(distinct d.key) filter (where decision = 'HELD' and h.key is not null)::integer as held,
       count(*) filter (where decision = 'REFUSED')::integer as unregistered,
       count(*) filter (where decision in ('IN_FLIGHT', 'SUPERSEDED')
         or decision = 'HELD' and h.key is null)::integer as others
     from dict.divergences d join dict.reconciliations n using (run_id)
     left join dict.held_keys h on (h.participant, h.key_type, h.key) = (n.participant, n.key_type, d.key)
       and h.released_at is null
     where d.run_id = $1 and d.round = $2`,
    [runId, round],
  );
  return one(rows);
}

/** Events show up to 5 s late: only after this time the log's silence about a CID means something. */
const LOG_SHOWS_AFTER_MS = 10_000;

export interface Listed {
  cid: string;
  /** Whether an earlier round found it as well. */
  again: boolean;
  /** How long ago DICT answered 404, in milliseconds. */
  age: number;
}

/** CIDs that DICT lists, and about which it answered 404. */
export async function listedButAbsent(db: Db, runId: string, round: number): Promise<Listed[]> {
  const { rows } = await db.query<Listed>(
    `select encode(d.cid, 'hex') as cid, extract(epoch from workflow.now() - d.decided_at)::float8 * 1000 as age,
       exists (select from dict.divergences o where o.run_id = d.run_id and o.round < d.round and o.cid = d.cid
         and o.decision = 'SUPERSEDED') as again
     from dict.divergences d
     where d.run_id = $1 and d.round = $2 and d.side = 'DICT_ONLY' and d.decision = 'SUPERSEDED'
       and d.finding ->> 'says' = 'ABSENT'`,
    [runId, round],
  );
  return rows;
}

/** Milliseconds until the log's silence about these CIDs means something. */
export function untilLogShows(listed: readonly Listed[]): number {
  return Math.max(0, ...listed.filter(({ again }) => !again).map(({ age }) => LOG_SHOWS_AFTER_MS - age));
}

/**
 * Those of the CIDs that DICT lists for ever and never shows: its log does not say that they were removed since the
 * snapshot, or an earlier round of the run found them as well; and DICT still answers 404.
 */
export async function neverShown(
  db: Db,
  bridge: Bridge,
  scope: { runId: string; round: number; participant: string; keyType: KeyType },
  listed: readonly Listed[],
  patience: LogPatience,
  call: CallOptions,
): Promise<string[]> {
  const log = await readRoundLog(db, bridge, scope, patience, call);
  const whole = !(log instanceof DvError) && log.unbroken && !log.truncated;
  const last = lastEvents(log instanceof DvError ? [] : log.events);
  const candidates = listed.filter(({ cid, again }) => again || (whole && last.get(cid)?.type !== 'REMOVED'));
  const { findings, brokenOffBy } = await lookUp(
    db,
    bridge,
    scope,
    candidates.map(({ cid }) => ({
      ...{ cid: parseCid(cid), side: 'DICT_ONLY' as const },
      ...{ finding: null, failures: 0, plan: null },
    })),
    call,
  );
  if (brokenOffBy !== undefined) throw brokenOffBy;
  return findings.filter(({ says }) => says === 'ABSENT').map(({ cid }) => cid.toString('hex'));
}

/**
 * Quarantines CIDs that DICT never shows. The local keys that waited for what becomes of such a CID are UNSURE then,
 * unless they wait for another one as well.
 */
export async function quarantineNeverShown(
  tx: Db,
  { runId, round }: { runId: string; round: number },
  cids: readonly string[],
): Promise<void> {
  if (cids.length === 0) return;
  await tx.query(
    `update dict.divergences set decision = 'QUARANTINED',
       why = 'DICT lists this CID, but answers that it does not exist (404), and its log does not say that it was removed'
     where run_id = $1 and round = $2 and decision = 'SUPERSEDED' and side = 'DICT_ONLY'
       and cid in (select decode(hex, 'hex') from unnest($3::text[]) hex)`,
    [runId, round, cids],
  );
  await tx.query(
    `update dict.divergences d set decision = 'UNSURE', why = $4
     where run_id = $1 and round = $2 and decision = 'SUPERSEDED' and side = 'LOCAL_ONLY' and why = $3
       and not exists (select from dict.divergences o where o.run_id = $1 and o.round = $2 and o.side = 'DICT_ONLY'
         and o.decision = 'SUPERSEDED')`,
    [runId, round, PERHAPS_CHANGED, PERHAPS_OTHER_HALF],
  );
}
