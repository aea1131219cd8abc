import { one } from '../../errors/rows.ts';
import { DvError } from '../../errors/dv-error.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** Opens the auditor's row of a reconciliation, if it is not open yet. */
export async function openReconciliation(
  db: Db,
  runId: string,
  participant: string,
  keyType: KeyType,
): Promise<void> {
  await db.query(
    `insert into dict.reconciliations (run_id, participant, key_type, started_at, vsync_before, entries_before)
     select $1, $2, $3, workflow.now(), vsync, entries from dict.vsync($2, $3)
     on conflict (run_id) do nothing`,
    [runId, participant, keyType],
  );
}

/**
 * Begins a round: saves the snapshot that later shows what has changed since (before the CID file is requested).
 * Changes within `marginSeconds` before the snapshot count as changed since, too.
 */
export async function openRound(db: Db, runId: string, marginSeconds: number): Promise<number> {
  const { rows } = await db.query<{ round: number }>(
    `insert into dict.rounds (run_id, round, snapshot, snapshot_at, margin_starts_at)
     select $1, coalesce(max(round), 0) + 1, pg_current_snapshot(), workflow.now(), workflow.now() - $2 * interval '1 second'
     from dict.rounds where run_id = $1
     returning round`,
    [runId, marginSeconds],
  );
  const { round } = one(rows);
  await db.query('update dict.reconciliations set rounds = $2 where run_id = $1', [runId, round]);
  return round;
}

/** Deletes what an earlier, interrupted comparison of this round found. */
export async function clearDivergences(db: Db, runId: string, round: number): Promise<void> {
  await db.query('delete from dict.divergences where run_id = $1 and round = $2', [runId, round]);
}

/** Writes a batch of divergences that a comparison found. */
export async function addDivergences(
  db: Db,
  runId: string,
  round: number,
  batch: readonly { side: string; cid: Buffer }[],
): Promise<void> {
  await db.query(
    `insert into dict.divergences (run_id, round, side, cid)
     select $1, $2, s, c from unnest($3::text[], $4::bytea[]) d (s, c) on conflict do nothing`,
    [runId, round, batch.map(({ side }) => side), batch.map(({ cid }) => cid)],
  );
}

/** What a round found, and how. */
export interface RoundFindings {
  foundBy: 'EVENT_LOG' | 'FILE';
  foundByReason: string;
  dictOnly: number;
  localOnly: number;
  fileCids?: number;
  duplicates?: number;
}

/**
 * Records what a round found. DV_COMPARISON_DISTURBED (retryable) when another attempt wrote divergences into the round
 * meanwhile.
 */
export async function recordFindings(
  tx: Db,
  runId: string,
  round: number,
  found: RoundFindings,
): Promise<void> {
  const { rows } = await tx.query<{ written: number }>(
    `with noted as (
       update dict.rounds set found_by = $3, found_by_reason = $4, dict_only_cids = $5, local_only_cids = $6,
         file_cids = $7, file_duplicates = $8, compared_at = workflow.now()
       where run_id = $1 and round = $2)
     select count(*)::float8 as written from dict.divergences where run_id = $1 and round = $2`,
    [
      runId,
      round,
      found.foundBy,
      found.foundByReason,
      found.dictOnly,
      found.localOnly,
      found.fileCids ?? null,
      found.duplicates ?? null,
    ],
  );
  const { written } = one(rows);
  if (written !== found.dictOnly + found.localOnly) {
    throw new DvError(
      'DV_COMPARISON_DISTURBED',
      'Another attempt wrote into this comparison. The comparison is made again.',
    );
  }
  if (written >= MANY) await tx.query('select dict.analyze_divergences()');
}

/**
 * From this number of divergences in a round the table is analyzed. The planner's statistics know only earlier runs, so
 * it expects very few rows; judging and reporting 8,000 of them then took more than a minute.
 */
const MANY = 1000;

/** Records who approved the round's set, and why. */
export async function approveRound(
  tx: Db,
  runId: string,
  round: number,
  approval: { by: string; reason: string },
): Promise<void> {
  await tx.query(
    `with approved as (
       update dict.rounds set approved_by = $3, approved_why = $4, approved_at = workflow.now()
       where run_id = $1 and round = $2 returning run_id, set_hash)
     update dict.reconciliations r set approved_by = $3, approved_why = $4, approved_set = a.set_hash
     from approved a where r.run_id = a.run_id`,
    [runId, round, approval.by, approval.reason],
  );
}

/** What a reconciliation found and did, as its log row, its notifications and the CLI show it. */
export interface ReconciliationSummary {
  participant: string;
  keyType: KeyType;
  outcome: string | null;
  reason: string | null;
  rounds: number;
  vsyncBefore: string;
  vsyncAfter: string | null;
  entriesBefore: number;
  entriesAfter: number | null;
  dictOnlyCids: number;
  localOnlyCids: number;
  keysAdded: number;
  keysCorrected: number;
  keysRemoved: number;
  /** Registered at DICT by a person's decision (Manual §3.3). */
  keysRegistered: number;
  keysInFlight: number;
  /** Keys that the last round left alone because they are held. */
  keysHeld: number;
  /** Local keys that the last round left for a person to decide. */
  keysUnsure: number;
  /** CIDs that the last round quarantined; dict.divergences has the reasons and DICT's correlation ids. */
  quarantined: number;
  approvedBy: string | null;
  setHash: string | null;
}

/** The summary of a reconciliation; undefined before it was opened. */
export async function readReconciliation(db: Db, runId: string): Promise<ReconciliationSummary | undefined> {
  const { rows } = await db.query<{ summary: ReconciliationSummary | null }>(
    'select dict.reconciliation_summary($1) as summary',
    [runId],
  );
  return one(rows).summary ?? undefined;
}

/** A CID that a round quarantined, with the reason and DICT's correlation id. */
export interface QuarantinedCid {
  cid: string;
  correlationId: string | null;
}

/** The first CIDs that the last round quarantined. */
export async function readQuarantined(db: Db, runId: string, limit: number): Promise<QuarantinedCid[]> {
  const { rows } = await db.query<QuarantinedCid>(
    `select encode(cid, 'hex') as cid, correlation_id as "correlationId" from dict.divergences
     where run_id = $1 and decision = 'QUARANTINED' and round = (select max(round) from dict.rounds where run_id = $1)
     order by cid limit $2`,
    [runId, limit],
  );
  return rows;
}

/** Updates the counts in the log row with what is known so far: each CID once, even if several rounds found it. */
export async function countReconciliation(tx: Db, runId: string): Promise<void> {
  await tx.query('select dict.count_reconciliation($1)', [runId]);
}

/** Closes the log row with its outcome, the current VSync, and the reason of a failure. */
export async function closeReconciliation(
  tx: Db,
  runId: string,
  outcome: string,
  reason: string | null,
): Promise<ReconciliationSummary | undefined> {
  await tx.query('select dict.close_reconciliation($1, $2, $3)', [runId, outcome, reason]);
  return readReconciliation(tx, runId);
}
