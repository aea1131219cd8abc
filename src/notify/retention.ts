import type { Pool } from 'pg';

/** Small: each batch is its own transaction, and nobody waits long for its locks. */
const BATCH = 1000;

const EXPIRE = ['dict.outbox', 'dict.notifications'].map(
  (table) => `
    delete from ${table} where id in (
      select id from ${table} where delivered_at < workflow.now() - $1 * interval '1 day'
      order by delivered_at limit ${BATCH} for update skip locked)`,
);

/** Deletes messages that were delivered more than `days` ago, in small batches; how many rows went. */
export async function expireMessages(pool: Pool, days: number): Promise<number> {
  let expired = 0;
  for (const statement of EXPIRE) {
    for (;;) {
      const { rowCount } = await pool.query(statement, [days]);
      expired += rowCount ?? 0;
      if ((rowCount ?? 0) < BATCH) break;
    }
  }
  return expired;
}
