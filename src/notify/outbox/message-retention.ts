import type { Pool } from 'pg';

/** Small, because each batch is a transaction and others wait for its locks. */
const BATCH = 1000;

const EXPIRE = [
  `delete from dict.outbox where id in (
     select id from dict.outbox where delivered_at < workflow.now() - $1 * interval '1 day'
     order by delivered_at limit $2 for update skip locked)`,
  `delete from dict.notifications where id in (
     select id from dict.notifications where delivered_at < workflow.now() - $1 * interval '1 day'
     order by delivered_at limit $2 for update skip locked)`,
];

/** Deletes messages that were delivered more than `days` ago, in small batches. Returns the number of deleted rows. */
export async function expireMessages(pool: Pool, days: number): Promise<number> {
  let expired = 0;
  for (const statement of EXPIRE) {
    for (;;) {
      const { rowCount } = await pool.query(statement, [days, BATCH]);
      expired += rowCount ?? 0;
      if ((rowCount ?? 0) < BATCH) break;
    }
  }
  return expired;
}
