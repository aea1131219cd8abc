import type { Pool } from 'pg';
import { one } from '../errors/rows.ts';

/** Which chores have something to do. */
export interface PendingWork {
  /** Messages to Core-Dict. */
  messages: boolean;
  /** Alerts to a person. */
  alerts: boolean;
  /** Runs that ended FAILED or POISONED, to be logged. */
  failures: boolean;
  /** VSync deltas and changes of single keys to fold. */
  deltas: boolean;
  /** Keys of the connected tables to read again. */
  feed: boolean;
  /** Automatic retries that are due. */
  retries: boolean;
}

/** Finds out in one statement, so that an idle worker sends one query and not one per chore. */
export async function findPendingWork(pool: Pool): Promise<PendingWork> {
  const { rows } = await pool.query<PendingWork>(
    `select exists (select from dict.outbox
              where destination = 'CORE_DICT' and delivered_at is null and dead_at is null) as messages,
            exists (select from dict.outbox
              where destination = 'ALERT' and delivered_at is null and dead_at is null) as alerts,
            exists (select from workflow.failures_to_log) as failures,
            exists (select from dict.vsync_deltas) or exists (select from dict.cid_changes) as deltas,
            exists (select from dict.feed_queue) as feed,
            dict.retries_due() as retries`,
  );
  return one(rows);
}
