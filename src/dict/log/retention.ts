import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';

/** How many days closed runs and audit records are kept; 0: for ever. */
export interface RetentionAges {
  /** Runs of the engine with their history and signals, and ticks of schedules. */
  runDays: number;
  /** Proofs of synchronism, reconciliations and their divergences, which auditors ask for. */
  auditDays: number;
}

/** Number of rows that were removed, or would be. */
export interface Expired {
  runs: number;
  reconciliations: number;
  divergences: number;
  syncVerifications: number;
  verifications: number;
}

const AGE = `$1 * interval '1 day'`;

/**
 * Removes what is older than its age, in short transactions of up to 100 runs or 1,000 rows, until nothing is left or
 * `limitMs` have passed. Returns the number of rows. Several workers may run it simultaneously with all other work.
 * CIDs are never removed: a participant keeps every CID it ever had (Manual Operacional do DICT, §9).
 */
export async function removeExpired(
  pool: Pool,
  ages: RetentionAges,
  limitMs = Number.POSITIVE_INFINITY,
): Promise<number> {
  const until = performance.now() + limitMs;
  const kinds: [number, string][] = [
    [ages.runDays, `select workflow.remove_expired_runs(${AGE}) as removed`],
    [ages.auditDays, `select dict.remove_expired_audit(${AGE}) as removed`],
  ];
  let total = 0;
  for (const [days, sql] of kinds) {
    let removed = days > 0 ? 1 : 0;
    while (removed > 0 && performance.now() < until) {
      const { rows } = await pool.query<{ removed: number }>(sql, [days]);
      removed = one(rows).removed;
      total += removed;
    }
  }
  return total;
}

/** What `removeExpired` would remove now. */
export async function countExpired(pool: Pool, { runDays, auditDays }: RetentionAges): Promise<Expired> {
  const { rows } = await pool.query<Expired>(
    `with gone as (
       select id from dict.expired_reconciliations($2 * interval '1 day') as id where $2 > 0)
     select
       (select count(*) from workflow.expired_runs($1 * interval '1 day') where $1 > 0)::integer as runs,
       (select count(*) from gone)::integer as reconciliations,
       (select count(*) from dict.divergences where run_id in (select id from gone))::integer as divergences,
       (select count(*) from dict.expired_sync_verifications($2 * interval '1 day') where $2 > 0)::integer
         as "syncVerifications",
       (select count(*) from dict.verifications
        where $2 > 0 and ended_at < workflow.now() - $2 * interval '1 day')::integer as verifications`,
    [runDays, auditDays],
  );
  return one(rows);
}
