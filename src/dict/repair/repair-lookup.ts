import { randomBytes } from 'node:crypto';
import { DvError } from '../../errors/dv-error.ts';
import { maybeOne } from '../../errors/rows.ts';
import type { Bridge, CallOptions } from '../../bridge/index.ts';
import { computeCid } from '../entry/cid.ts';
import type { Entry } from '../entry/entry.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

export type Side = 'DICT_ONLY' | 'LOCAL_ONLY';

export interface PendingDivergence {
  cid: Buffer;
  side: Side;
  /** DICT's recent answer about it, from an attempt that could not apply it. */
  finding: StoredFinding | null;
  /** How often DICT has failed on it. */
  failures: number;
  /** What a person wants done with it instead of the policy's default. REMOVE: although it is UNSURE. */
  plan: 'REGISTER' | 'REMOVE' | null;
}

/** DICT's current answer about a divergent CID. */
export type Finding = { cid: Buffer; side: Side; correlationId: string | null } & (
  | { says: 'ENTRY'; entry: Entry }
  /** `keep`: a person wants it registered, but this attempt could not try to. */
  | { says: 'ABSENT'; keep?: true }
  /** Was absent, and has been registered from the local entry with a new RequestId: `entry` as DICT has it now. */
  | { says: 'REGISTERED'; entry: Entry }
  /** DICT refused to register it. */
  | { says: 'REFUSED'; why: string; key?: string }
  /**
   * DICT shows no entry that can be used: it fails or refuses each time, or its answer cannot be right. The CID is
   * quarantined with the correlation id for the support ticket. `why` says what happened, `key` is the key that DICT named.
   */
  | { says: 'QUARANTINED'; why: string; key?: string }
);

/** A finding as dict.divergences stores it; CID and side are columns of the row. */
type StoredFinding = Finding extends infer F ? (F extends Finding ? Omit<F, 'cid' | 'side'> : never) : never;

/**
 * The next undecided divergences of a round, of one side only: the CIDs in DICT first, until all of them are decided.
 * Only then it is certain that a local CID that DICT does not have is not half of a correction. Otherwise the key could
 * be removed before it is corrected, for example when the lookups stop in between. A correction also saves the lookup
 * of its other half.
 */
export async function pendingDivergences(
  db: Db,
  runId: string,
  round: number,
  limit: number,
): Promise<PendingDivergence[]> {
  const { rows } = await db.query<PendingDivergence>(
    `select cid, side, failures, plan,
       case when found_at > workflow.now() - $4 * interval '1 second' or finding ->> 'says' = 'REGISTERED'
         then finding end as finding
     from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING'
       and side = (select min(side) from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING')
     order by failures, cid limit $3`,
    [runId, round, limit, FINDING_FRESH_SECONDS],
  );
  return rows;
}

/**
 * The next undecided divergences of a round about which DICT has not been asked, of one side only as above. The local
 * half of a correction needs no lookup.
 */
export async function unaskedDivergences(
  db: Db,
  runId: string,
  round: number,
  limit: number,
): Promise<PendingDivergence[]> {
  const { rows } = await db.query<PendingDivergence>(
    `with answered as materialized (
       select finding #>> '{entry,key}' as key from dict.divergences
       where run_id = $1 and round = $2 and side = 'DICT_ONLY' and decision = 'PENDING' and finding ->> 'says' = 'ENTRY'),
     unasked as materialized (
       select d.cid, d.side, d.failures, d.plan from dict.divergences d
       where d.run_id = $1 and d.round = $2 and d.decision = 'PENDING' and d.finding is null
         and not (d.side = 'LOCAL_ONLY' and coalesce((
           select e.key in (select key from answered) from dict.entries e join dict.reconciliations n on n.run_id = d.run_id
           where e.participant = n.participant and e.key_type = n.key_type and e.cid = d.cid and e.removed_at is null
           limit 1), false)))
     select cid, side, failures, plan, null as finding from unasked
     where side = (select min(side) from unasked) order by failures, cid limit $3`,
    [runId, round, limit],
  );
  return rows;
}

/** Pause before CIDs are asked about again when DICT failed on all of them: time to recover. */
export const LOOKUPS_AGAIN_MS = 2000;

/**
 * How long DICT's answer may be applied: long enough for a restart after a crash, too short for a customer to change
 * the key again.
 */
const FINDING_FRESH_SECONDS = 60;

/** Failures on one CID, each in another step, before it is quarantined. */
export const FAILURES = 3;

/**
 * Whether it is an error that DICT may give for one CID for ever while all other CIDs work: 500; a refusal, because the
 * key is blocked by a court, under a fraud restriction, or not to be shown (400, 403); an answer that is not understood.
 */
export function failsOnIt(error: unknown): error is DvError {
  return error instanceof DvError && REASONS.has(error.code) && !isOutage(error);
}

/** Whether it looks like an outage. It is one, unless DICT answers about another CID at the same time. */
export function isOutage(error: unknown): error is DvError {
  return (
    error instanceof DvError && (error.code === 'DV_BRIDGE_UNAVAILABLE' || error.code === 'DV_BRIDGE_TIMEOUT')
  );
}

const REASONS = new Map<string, (error: DvError) => string>([
  ['DV_DICT_INTERNAL', () => 'DICT had an internal error (500) each time it was asked about this CID'],
  ['DV_DICT_BAD_REQUEST', refusal],
  ['DV_DICT_FORBIDDEN', refusal],
  ['DV_BRIDGE_UNAVAILABLE', () => 'DICT was unavailable (503) each time it was asked about this CID'],
  ['DV_BRIDGE_TIMEOUT', () => 'DICT did not answer in time each time it was asked about this CID'],
  ['DV_BRIDGE_NONSENSE', ({ message }) => `the answer about this CID was not understood: ${message}`],
]);

function refusal({ code, problemType }: DvError): string {
  return `DICT refuses to show the entry of this CID (${problemType ?? code})`;
}

/** Why a CID is quarantined on which DICT keeps failing, for dict.divergences. */
export function reasonOf(error: DvError): string {
  return REASONS.get(error.code)?.(error) ?? error.message;
}

/** Findings recorded at a time; after a crash at most this number of lookups is repeated. */
const FLUSH = 25;

/** Simultaneous lookups: enough to hide the network's latency, few enough for the Bridge. */
const CONCURRENCY = 16;

export interface Lookups {
  findings: Finding[];
  /** CIDs that DICT failed on, to be asked about again. */
  failed: number;
  /** The error that stopped the lookups early, if there is one. */
  brokenOffBy: unknown;
}

/**
 * Asks DICT (getEntryByCid) about each CID, several simultaneously. The answers are recorded as they arrive, outside
 * any transaction, so that a crash loses none of them. A CID that DICT fails on (failsOnIt) is asked about again in a
 * later step, and is QUARANTINED at the third failure. An error that may pass (or a fired signal) stops the lookups
 * early; if it looks like an outage and DICT answers about another CID, it counts as a failure of the CIDs on which it
 * happened. If DICT answered none of them, it is asked about another CID; if it fails on that too, the failure is not the
 * CIDs' and does not count against them: DV_DICT_INTERNAL (retryable) for a 500 and what is not understood, otherwise
 * the error of that call.
 */
export async function lookUp(
  db: Db,
  bridge: Bridge,
  round: { runId: string; round: number; participant: string; keyType: KeyType },
  divergences: readonly PendingDivergence[],
  call: CallOptions,
): Promise<Lookups> {
  const findings: Finding[] = [];
  const failures: { cid: Buffer; correlationId: string | null }[] = [];
  const quarantined: Finding[] = [];
  const stalled: (() => void)[] = [];
  let unwritten: Finding[] = [];
  let brokenOffBy: unknown;
  const flush = async () => {
    const batch = unwritten;
    unwritten = [];
    await keepFindings(db, round, batch);
  };
  const fails = (error: DvError, cid: Buffer, side: Side, before: number) => {
    const correlationId = error.correlationId ?? null;
    if (before + 1 >= FAILURES)
      quarantined.push({ cid, side, correlationId, says: 'QUARANTINED', why: reasonOf(error) });
    else failures.push({ cid, correlationId });
  };
  const queue = divergences.values();
  const worker = async () => {
    for (const { cid, side, finding, failures: before } of queue) {
      if (brokenOffBy !== undefined) return;
      if (finding !== null) {
        findings.push({ ...finding, cid, side });
        continue;
      }
      try {
        const found = await lookUpOne(bridge, round.participant, round.keyType, { cid, side }, call);
        findings.push(found);
        unwritten.push(found);
        if (unwritten.length >= FLUSH) await flush();
      } catch (error) {
        if (failsOnIt(error)) {
          fails(error, cid, side, before);
          continue;
        }
        brokenOffBy ??= error;
        if (isOutage(error)) stalled.push(() => fails(error, cid, side, before));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, divergences.length) }, worker));
  await flush();
  if (
    isOutage(brokenOffBy) &&
    call.signal?.aborted !== true &&
    (await answersAnother(db, bridge, round, call))
  ) {
    for (const fail of stalled) fail();
    brokenOffBy = undefined;
  }
  if (failures.length + quarantined.length > 0 && findings.length === 0 && stalled.length === 0) {
    if (brokenOffBy !== undefined) throw brokenOffBy;
    await expectAnswerToAnother(db, bridge, round, call);
  }
  await keepFailures(db, round, failures);
  await keepFindings(db, round, quarantined);
  return { findings: [...findings, ...quarantined], failed: failures.length, brokenOffBy };
}

/** Whether DICT answers about another CID. */
async function answersAnother(...asked: Parameters<typeof expectAnswerToAnother>): Promise<boolean> {
  try {
    await expectAnswerToAnother(...asked);
    return true;
  } catch (error) {
    if (error instanceof DvError) return false;
    throw error;
  }
}

/**
 * Expects DICT to answer, even with 404, about a CID that is not a divergence: a local CID, or else a random one.
 * Throws the error when DICT fails on that too, DV_DICT_INTERNAL (retryable) for a 500 and what is not understood.
 */
async function expectAnswerToAnother(
  db: Db,
  bridge: Bridge,
  { runId, round, participant, keyType }: Parameters<typeof lookUp>[2],
  call: CallOptions,
): Promise<void> {
  // Limited to 1000 rows, so that it does not scan the whole table when everything differs.
  const { rows } = await db.query<{ cid: Buffer }>(
    `select e.cid from (select cid from dict.entries
       where participant = $3 and key_type = $4 and removed_at is null limit 1000) e
     where not exists (select from dict.divergences d where d.run_id = $1 and d.round = $2 and d.cid = e.cid)
     limit 1`,
    [runId, round, participant, keyType],
  );
  const cid = maybeOne(rows)?.cid ?? randomBytes(32);
  try {
    await lookUpOne(bridge, participant, keyType, { cid, side: 'LOCAL_ONLY' }, call);
  } catch (error) {
    if (!failsOnIt(error) || (error.code !== 'DV_DICT_INTERNAL' && error.code !== 'DV_BRIDGE_NONSENSE'))
      throw error;
    throw new DvError('DV_DICT_INTERNAL', 'DICT fails on every lookup. The lookups will be retried.', {
      correlationId: error.correlationId,
    });
  }
}

/** Records DICT's answers, so that a crash loses none of them. */
export async function keepFindings(
  db: Db,
  { runId, round }: { runId: string; round: number },
  findings: readonly Finding[],
): Promise<void> {
  if (findings.length === 0) return;
  await db.query(
    `update dict.divergences d set finding = f.finding::jsonb, found_at = workflow.now()
     from unnest($3::bytea[], $4::text[]) f (cid, finding)
     where d.run_id = $1 and d.round = $2 and d.cid = f.cid and d.decision = 'PENDING'`,
    [
      runId,
      round,
      findings.map(({ cid }) => cid),
      findings.map(({ cid: _cid, side: _side, ...said }) => JSON.stringify(said)),
    ],
  );
}

/** Lets DICT be asked again about what is undecided. What was registered stays registered. */
export async function forgetFindings(db: Db, runId: string, round: number): Promise<void> {
  await db.query(
    `update dict.divergences set found_at = null
     where run_id = $1 and round = $2 and decision = 'PENDING' and finding is not null`,
    [runId, round],
  );
}

/** Counts DICT's failures on these CIDs. */
export async function keepFailures(
  db: Db,
  { runId, round }: { runId: string; round: number },
  failures: readonly { cid: Buffer; correlationId: string | null }[],
): Promise<void> {
  if (failures.length === 0) return;
  await db.query(
    `update dict.divergences d set failures = d.failures + 1, correlation_id = f.correlation_id
     from unnest($3::bytea[], $4::text[]) f (cid, correlation_id)
     where d.run_id = $1 and d.round = $2 and d.cid = f.cid and d.decision = 'PENDING'`,
    [runId, round, failures.map(({ cid }) => cid), failures.map(({ correlationId }) => correlationId)],
  );
}

/** Asks DICT about one CID. Errors of the Bridge are thrown, except its 404. */
export async function lookUpOne(
  bridge: Bridge,
  participant: string,
  keyType: KeyType,
  { cid, side }: Pick<PendingDivergence, 'cid' | 'side'>,
  call: CallOptions,
): Promise<Finding> {
  try {
    const { entry, correlationId } = await bridge.getEntryByCid(
      { participant, cid: cid.toString('hex') },
      call,
    );
    const base = { cid, side, correlationId };
    // Applied only if it is what was asked for: the entry must give the CID.
    if (!computeCid(entry).equals(cid)) {
      return { ...base, says: 'QUARANTINED', why: 'the entry from DICT has another CID', key: entry.key };
    }
    if (entry.participant !== participant || entry.keyType !== keyType) {
      return {
        ...base,
        says: 'QUARANTINED',
        why: 'the entry from DICT belongs to another participant or key type',
      };
    }
    return { ...base, says: 'ENTRY', entry };
  } catch (error) {
    if (error instanceof DvError && error.code === 'DV_DICT_NOT_FOUND') {
      return { cid, side, correlationId: error.correlationId ?? null, says: 'ABSENT' };
    }
    throw error;
  }
}
