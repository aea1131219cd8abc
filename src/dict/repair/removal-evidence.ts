import type { Bridge, CallOptions, CidSetEvent } from '../../bridge/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { parseCid } from '../entry/cid.ts';
import { type EventLog, lastEvents, readEventLog } from '../event-log/event-log.ts';
import { ATTEMPTS, type LogPatience, readLogPatiently } from '../event-log/log-patience.ts';
import { readRoundLog } from '../event-log/round-log.ts';
import type { KeyType } from '../entry/key-type.ts';
import { failsOnIt, isOutage, lookUpOne } from './repair-lookup.ts';
import type { Db } from '../vsync/vsync-store.ts';

/**
 * What DICT's log and answers say before a local key is removed. A local CID that DICT does not have may be the other
 * half of a change: then DICT has the key with another CID, and removing it would be wrong.
 */
export interface RemovalEvidence {
  /** CIDs and keys added at DICT since the round's snapshot that are not local. */
  cids: ReadonlySet<string>;
  keys: ReadonlySet<string>;
  /** CIDs that DICT has or had a moment ago, without an entry that can be used. */
  unknown: readonly UnknownCid[];
  /** DICT's log, without a gap, from as far back as was read; undefined: it proves nothing. */
  log: CompleteLog | undefined;
  /** Whether more was added since the snapshot than was read. */
  truncated: boolean;
}

export interface UnknownCid {
  cid: string;
  /** Null: nobody knows it, so any local CID may be the other half. */
  key: string | null;
  /** Whether DICT has just answered 404 about it: the next comparison may show what became of it. */
  passing: boolean;
}

interface CompleteLog {
  from: number;
  byCid: ReadonlyMap<string, readonly CidSetEvent[]>;
}

export const NO_EVIDENCE_NEEDED: RemovalEvidence = {
  cids: new Set(),
  keys: new Set(),
  unknown: [],
  log: undefined,
  truncated: false,
};

/** Why a local CID that DICT does not have is left alone; decided as SUPERSEDED or UNSURE. */
export interface Objection {
  decision: 'SUPERSEDED' | 'UNSURE';
  why: string;
}

/** `why` of the local CIDs that another comparison, or the end of the round, decides. */
export const PERHAPS_CHANGED = 'DICT changed a key meanwhile, perhaps this one: the next comparison decides';

/** `why` of the local CIDs that only a person can decide. */
export const PERHAPS_OTHER_HALF =
  'DICT has a CID whose key cannot be known, perhaps this key: a person decides (dict-vsync unsure)';

/** `why` of a key that DICT refused to register. */
export const REGISTRATION_REFUSED =
  'DICT refused to register this key, as a person had decided: a person decides again (dict-vsync unsure)';

/** SQL: whether DICT has refused, in any run, to register the CID of `d`, a divergence of the reconciliation `n`. */
export const REGISTRATION_WAS_REFUSED = `exists (
  select from dict.divergences o join dict.reconciliations m using (run_id)
  where o.cid = d.cid and o.side = 'LOCAL_ONLY' and o.decision = 'REFUSED' and o.plan = 'REGISTER'
    and (m.participant, m.key_type) = (n.participant, n.key_type))`;

const REGISTERED_SINCE =
  'DICT has this key, with an entry newer than the snapshot: the next comparison decides';

/** 4,000 events since the last OK, to prove that two CIDs belong to two keys. */
const PROOF_PAGES = 20;

/**
 * Both events of one update have been seen up to 26 ms apart. Two CIDs that were in DICT together for longer than this
 * belong to two keys.
 */
const TOGETHER_MS = 5000;

/** What must not count against the removal of `cid` with `key`; undefined: it may be removed. */
export function objectionTo(evidence: RemovalEvidence, cid: string, key: string): Objection | undefined {
  if (evidence.cids.has(cid) || evidence.keys.has(key))
    return { decision: 'SUPERSEDED', why: REGISTERED_SINCE };
  if (evidence.truncated) return { decision: 'SUPERSEDED', why: PERHAPS_CHANGED };
  const halves = evidence.unknown.filter(
    (other) => (other.key === null || other.key === key) && !wereTogether(evidence.log, cid, other.cid),
  );
  if (halves.length === 0) return undefined;
  // What may pass is decided by the next comparison; a person is asked about the rest.
  return halves.some(({ passing }) => passing)
    ? { decision: 'SUPERSEDED', why: PERHAPS_CHANGED }
    : { decision: 'UNSURE', why: PERHAPS_OTHER_HALF };
}

/** Whether the log proves that both CIDs were in DICT at the same time: one key has one CID at a time. */
function wereTogether(log: CompleteLog | undefined, one: string, other: string): boolean {
  if (log === undefined) return false;
  const others = staysOf(log, other, true);
  return staysOf(log, one, false).some(({ from, until }) =>
    others.some((stay) => Math.min(until, stay.until) - Math.max(from, stay.from) > TOGETHER_MS),
  );
}

/** When a CID was in DICT since the log begins. `present`: whether it is there if the log does not name it. */
function staysOf(
  { from, byCid }: CompleteLog,
  cid: string,
  present: boolean,
): { from: number; until: number }[] {
  const events = byCid.get(cid) ?? [];
  const stays: { from: number; until: number }[] = [];
  let since =
    events.length === 0 ? (present ? from : undefined) : events[0]!.type === 'REMOVED' ? from : undefined;
  for (const { type, timestamp } of events) {
    const at = Date.parse(timestamp);
    if (type === 'ADDED') since ??= at;
    else if (since !== undefined) {
      stays.push({ from: since, until: at });
      since = undefined;
    }
  }
  if (since !== undefined) stays.push({ from: since, until: Infinity });
  return stays;
}

/**
 * Reads DICT's event log again before anything is removed ("404: superseded, read the events again"): the CIDs that
 * were added since the round's snapshot, or within its margin, and their keys; and the CIDs of the round whose keys are
 * not known. If there are any, the log since the last OK is read as well, because it may prove that they belong to
 * other keys. A log that cannot be read, or has a gap, proves nothing: what only the log could prove stays.
 * `proofFrom`: undefined when there is no OK that is recent enough.
 */
export async function readRemovalEvidence(
  db: Db,
  bridge: Bridge,
  scope: { runId: string; round: number; participant: string; keyType: KeyType },
  { proofFrom, ...patience }: LogPatience & { proofFrom: Date | undefined },
  call: CallOptions,
): Promise<RemovalEvidence> {
  const { runId, round, participant, keyType } = scope;
  const read = await readRoundLog(db, bridge, scope, patience, call);
  const log = read instanceof DvError ? undefined : read;
  const last = lastEvents(log?.events ?? []);
  const added = [...last.values()].filter(({ type }) => type === 'ADDED').map(({ cid }) => cid);
  const whole = log?.unbroken === true;

  const unknown: UnknownCid[] = (await unknownCids(db, runId, round)).filter(
    // DICT has removed it since the snapshot, and what it added instead is looked up below.
    ({ cid, passing }) => !(passing && whole && last.get(cid)?.type === 'REMOVED'),
  );
  const keys = new Set<string>();
  for (const cid of await notHere(db, participant, keyType, added)) {
    const asked = { cid: parseCid(cid), side: 'DICT_ONLY' as const };
    try {
      const found = await lookUpOne(bridge, participant, keyType, asked, call);
      if (found.says === 'ENTRY') keys.add(found.entry.key);
      else if (found.says === 'QUARANTINED' && found.key !== undefined) keys.add(found.key);
      else unknown.push({ cid, key: null, passing: found.says === 'ABSENT' });
    } catch (error) {
      // What looks like an outage is one, unless it happens for this CID at several attempts of the step.
      const outage = isOutage(error) && patience.attempt >= ATTEMPTS;
      if (!outage && !failsOnIt(error)) throw error;
      unknown.push({ cid, key: null, passing: outage });
    }
  }
  const proof =
    unknown.length > 0 && proofFrom !== undefined
      ? await readLogPatiently(
          db,
          async () =>
            readEventLog(bridge, { participant, keyType, from: proofFrom, maxPages: PROOF_PAGES }, call),
          patience,
        )
      : undefined;
  return {
    cids: new Set(added),
    keys,
    unknown,
    log: proofFrom === undefined || proof instanceof DvError ? undefined : completeLog(proofFrom, proof),
    truncated: log?.truncated === true,
  };
}

function completeLog(from: Date, log: EventLog | undefined): CompleteLog | undefined {
  if (log === undefined || !log.unbroken || log.truncated) return undefined;
  return { from: from.getTime(), byCid: Map.groupBy(log.events, ({ cid }) => cid) };
}

/** The CIDs of DICT in a round of which DICT does not show the entry, with their keys if they are known. */
async function unknownCids(db: Db, runId: string, round: number): Promise<UnknownCid[]> {
  const { rows } = await db.query<UnknownCid>(
    `select encode(d.cid, 'hex') as cid, d.decision = 'SUPERSEDED' or d.finding ->> 'says' = 'ABSENT' as passing,
       coalesce(d.key, d.finding ->> 'key', (
         select l.key from dict.cid_log l
         where l.cid = d.cid and l.participant is not distinct from n.participant and l.key_type is not distinct from n.key_type
         order by l.id desc limit 1)) as key
     from dict.divergences d join dict.reconciliations n using (run_id)
     where d.run_id = $1 and d.round = $2 and d.side = 'DICT_ONLY'
       and (d.decision in ('SUPERSEDED', 'QUARANTINED')
         or d.decision = 'PENDING' and d.finding ->> 'says' in ('ABSENT', 'QUARANTINED'))`,
    [runId, round],
  );
  return rows;
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
