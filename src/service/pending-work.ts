import type { Pool } from 'pg';
import { one } from '../errors/rows.ts';

/** What there is to do beside the workflows. */
export interface PendingWork {
  /** Messages to Core-Dict. */
  messages: boolean;
  /** VSync deltas and changes of single keys to fold. */
  deltas: boolean;
  /** Keys of the bank's tables to look at again. */
  feed: boolean;
}

/** Looks, in one statement: an idle worker asks once and not once a chore. */
export async function findPendingWork(pool: Pool): Promise<PendingWork> {
  const { rows } = await pool.query<PendingWork>(
    `select exists (select from dict.outbox where delivered_at is null and dead_at is null) as messages,
            exists (select from dict.vsync_deltas) or exists (select from dict.cid_changes) as deltas,
            exists (select from dict.feed_queue) as feed`,
  );
  return one(rows);
}
