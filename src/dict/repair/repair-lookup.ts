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
  /** What a person wants done with it instead of the policy's default. */
  plan: 'REGISTER' | null;
}

/** DICT's current answer about a divergent CID. */
export type Finding = { cid: Buffer; side: Side; correlationId: string | null } & (
  | { says: 'ENTRY'; entry: Entry }
  /** `keep`: a person wants it registered, but this attempt could not try to. */
  | { says: 'ABSENT'; keep?: true }
  /** Was absent, and has been registered from the local entry with a new RequestId: `entry` as DICT has it now. */
  | { says: 'REGISTERED'; entry: Entry }
  /**
   * DICT's answer cannot be applied. `why` is recorded with the divergence, and so is `key` if the answer named one.
   */
  | { says: 'REFUSED'; why: string; key?: string }
  /** DICT kept failing on this CID, so it is quarantined, with the correlation id for the support ticket. */
  | { says: 'QUARANTINED' }
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
 * How long DICT's answer may be applied: long enough for a restart after a crash, too short for a customer to change
 * the key again.
 */
const FINDING_FRESH_SECONDS = 60;

/** Failures (500) on one CID, each in another step, before it is quarantined. */
export const FAILURES = 3;

/** Errors that DICT or the Bridge may return for one CID for ever while all other CIDs work. */
export const FAILS_ON_IT = new Set(['DV_DICT_INTERNAL', 'DV_BRIDGE_NONSENSE']);

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
 * any transaction, so that a crash loses none of them. A CID that DICT fails on (500, or an answer that cannot be
 * right) is asked about again in a later step, and is QUARANTINED at the third failure. An error that may pass (or a
 * fired signal) stops the lookups early. If DICT answered none of them, it is asked about another CID; if it fails on
 * that too, DICT is down: DV_DICT_INTERNAL (retryable), and the failures do not count against the CIDs.
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
  let unwritten: Finding[] = [];
  let brokenOffBy: unknown;
  const flush = async () => {
    const batch = unwritten;
    unwritten = [];
    await keepFindings(db, round, batch);
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
        if (error instanceof DvError && FAILS_ON_IT.has(error.code)) {
          const correlationId = error.correlationId ?? null;
          if (before + 1 >= FAILURES) findings.push({ cid, side, correlationId, says: 'QUARANTINED' });
          else failures.push({ cid, correlationId });
          continue;
        }
        brokenOffBy ??= error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, divergences.length) }, worker));
  await flush();
  const unanswered = failures.length + findings.filter(({ says }) => says === 'QUARANTINED').length;
  if (unanswered > 0 && unanswered === failures.length + findings.length) {
    if (brokenOffBy !== undefined) throw brokenOffBy;
    await expectAnswerToAnother(db, bridge, round, call);
  }
  await keepFailures(db, round, failures);
  return { findings, failed: failures.length, brokenOffBy };
}

/**
 * Expects DICT to answer, even with 404, about a CID that is not a divergence: a local CID, or else a random one.
 * DV_DICT_INTERNAL (retryable) when DICT fails on that too.
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
    if (!(error instanceof DvError) || !FAILS_ON_IT.has(error.code)) throw error;
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

/** Counts DICT's failures (500) on these CIDs. */
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
      return { ...base, says: 'REFUSED', why: 'the entry from DICT has another CID', key: entry.key };
    }
    if (entry.participant !== participant || entry.keyType !== keyType) {
      return {
        ...base,
        says: 'REFUSED',
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
