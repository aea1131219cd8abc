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
  /** What DICT said of it a moment ago, in an attempt that did not get to apply it. */
  finding: StoredFinding | null;
  /** How often DICT failed on it so far. */
  failures: number;
  /** What a person wants done instead of the policy's default. */
  plan: 'REGISTER' | null;
}

/** What DICT says of a divergent CID, just now. */
export type Finding = { cid: Buffer; side: Side; correlationId: string | null } & (
  | { says: 'ENTRY'; entry: Entry }
  /** `keep`: a person wants it registered, which this attempt could not try. */
  | { says: 'ABSENT'; keep?: true }
  /** Absent, and registered from the local entry since. */
  | { says: 'REGISTERED' }
  /** DICT's answer cannot be applied; `why` is kept with the divergence, and `key`, when the answer named one. */
  | { says: 'REFUSED'; why: string; key?: string }
  /** DICT kept failing on this CID: put aside, with the correlation id for the support ticket. */
  | { says: 'QUARANTINED' }
);

/** A finding as dict.divergences keeps it: the CID and side are the row's own. */
type StoredFinding = Finding extends infer F ? (F extends Finding ? Omit<F, 'cid' | 'side'> : never) : never;

/**
 * The next divergences of a round that nothing was decided about, of one side: DICT's until all of them are decided.
 * Only then a local CID that DICT doesn't have is known to be no half of a correction; else the key would be removed
 * before it is corrected, as when the lookups break off in between. And a correction saves its other half's lookup.
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

/** How long what DICT said may be applied: a crash's restart must fit in, a customer's second thought hardly. */
const FINDING_FRESH_SECONDS = 60;

/** Failures (500) on one CID, in as many steps, before it is put aside. */
export const FAILURES = 3;

/** What DICT, or the Bridge, may do for one CID for ever while the others are fine. */
export const FAILS_ON_IT = new Set(['DV_DICT_INTERNAL', 'DV_BRIDGE_NONSENSE']);

/** Findings written at a time: what a crash may cost again. */
const FLUSH = 25;

/** Lookups under way at once: enough to hide the network, few enough for the Bridge. */
const CONCURRENCY = 16;

export interface Lookups {
  findings: Finding[];
  /** CIDs that DICT failed on, to be asked about again. */
  failed: number;
  /** What ended the asking early, if anything did. */
  brokenOffBy: unknown;
}

/**
 * Asks DICT (getEntryByCid) about each CID, several at once. What it says is written down as it comes, outside any
 * transaction, so that a crash loses none of it. A CID that DICT fails on (500, or an answer that
 * cannot be) is asked about again in a later step,
 * and QUARANTINED at the third; an error that may pass (or a fired signal) ends the asking early. Where DICT answered
 * nothing at all it is asked about another CID: failing on that too it is down, DV_DICT_INTERNAL (retryable), and the
 * failures are not the CIDs'.
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
  const inVain = failures.length + findings.filter(({ says }) => says === 'QUARANTINED').length;
  if (inVain > 0 && inVain === failures.length + findings.length) {
    if (brokenOffBy !== undefined) throw brokenOffBy;
    await expectAnswerToAnother(db, bridge, round, call);
  }
  await keepFailures(db, round, failures);
  return { findings, failed: failures.length, brokenOffBy };
}

/**
 * Expects DICT to answer, be it 404, about a CID that is no divergence: a local one, else one that nobody has.
 * DV_DICT_INTERNAL (retryable) when it fails on that too.
 */
async function expectAnswerToAnother(
  db: Db,
  bridge: Bridge,
  { runId, round, participant, keyType }: Parameters<typeof lookUp>[2],
  call: CallOptions,
): Promise<void> {
  // Some, not all: it must not be a scan where everything differs.
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
    throw new DvError('DV_DICT_INTERNAL', 'DICT fails on every lookup. They are tried again.', {
      correlationId: error.correlationId,
    });
  }
}

/** Writes down what DICT said, so that a crash loses none of it. */
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

/** Counts that DICT failed (500) on these CIDs. */
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

/** Asks DICT about one CID. Errors of the Bridge, but not its 404, are thrown. */
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
    // Applied only if it is what was asked for: DICT's word for a CID is the CID itself.
    if (!computeCid(entry).equals(cid)) {
      return { ...base, says: 'REFUSED', why: 'the entry DICT sent has another CID', key: entry.key };
    }
    if (entry.participant !== participant || entry.keyType !== keyType) {
      return {
        ...base,
        says: 'REFUSED',
        why: 'the entry DICT sent belongs to another participant or key type',
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
