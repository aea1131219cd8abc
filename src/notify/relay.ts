import type { Pool } from 'pg';
import { crashPoint, inTransaction } from '../engine/index.ts';
import { DvError } from '../errors.ts';
import type { OutboxMessage, Way } from './way.ts';

const BATCH = 100;

/**
 * Delivers what is in the outbox, oldest first per participant and key type; one relay at a time, however many
 * workers. Returns how many were delivered. When the way fails, the attempt is counted and the error thrown on.
 */
export async function relayOutbox(pool: Pool, way: Way): Promise<number> {
  let delivered = 0;
  for (;;) {
    const n = await relayBatch(pool, way);
    delivered += n;
    if (n < BATCH) return delivered;
  }
}

async function relayBatch(pool: Pool, way: Way): Promise<number> {
  let ids: string[] = [];
  try {
    return await inTransaction(pool, async (tx) => {
      const lock = await tx.query<{ mine: boolean }>(
        `select pg_try_advisory_xact_lock(hashtext('dict-vsync relay')) as mine`,
      );
      if (lock.rows[0]?.mine !== true) return 0;
      const { rows } = await tx.query<OutboxMessage>(
        `select id, participant, key_type as "keyType", sequence, type, payload, created_at as "createdAt"
         from dict.outbox where delivered_at is null order by participant, key_type, sequence limit $1`,
        [BATCH],
      );
      if (rows.length === 0) return 0;
      ids = rows.map(({ id }) => id);
      crashPoint('relay-before-send');
      await way.deliver(rows, tx);
      crashPoint('relay-between-send-and-mark');
      await tx.query(
        'update dict.outbox set delivered_at = workflow.now(), attempts = attempts + 1 where id = any ($1)',
        [ids],
      );
      crashPoint('relay-before-commit');
      return rows.length;
    });
  } catch (error) {
    // A code or a name only: an error's text may hold what the message holds.
    const code = error instanceof DvError ? error.code : error instanceof Error ? error.name : 'unknown';
    if (ids.length > 0) await countAttempt(pool, ids, code).catch(() => undefined);
    throw error;
  }
}

async function countAttempt(pool: Pool, ids: readonly string[], code: string): Promise<void> {
  await pool.query('update dict.outbox set attempts = attempts + 1, last_error = $2 where id = any ($1)', [
    ids,
    code,
  ]);
}
