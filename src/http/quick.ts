import type { Pool } from 'pg';
import { inTransaction } from '../engine/index.ts';
import { DvError } from '../errors.ts';

/** What a question to the database is asked through. */
export type Ask = Parameters<Parameters<typeof inTransaction>[1]>[0];

/**
 * A question to the database that never holds up its asker and never piles up. The returned function asks it, or joins
 * in when it is being asked already, and waits `patienceMs` at the most: DV_DATABASE_UNREACHABLE after that. The
 * question itself may go on for `limitMs` (its answer can still be used by `question`); then server and client break
 * it off and the connection is destroyed.
 */
export function quickly<T>(
  pool: Pool,
  { patienceMs, limitMs }: { patienceMs: number; limitMs: number },
  question: (ask: Ask) => Promise<T>,
): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  const begin = () => {
    const asking = inTransaction(
      pool,
      async (tx) => {
        await tx.query(`set local statement_timeout = ${limitMs}`);
        return question(tx);
      },
      AbortSignal.timeout(limitMs + 500),
    ).finally(() => {
      underWay = undefined;
    });
    // Whoever waited has gone perhaps.
    asking.catch(() => undefined);
    return asking;
  };
  return async () => {
    underWay ??= begin();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(
        new DvError('DV_DATABASE_UNREACHABLE', `The database did not answer within ${patienceMs} ms.`, {
          class: 'retryable',
        }),
      );
    }, patienceMs);
    try {
      return await Promise.race([underWay, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}
