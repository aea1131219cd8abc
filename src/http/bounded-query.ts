import type { Pool } from 'pg';
import { DvError } from '../errors/dv-error.ts';

/** What a question to the database is asked through: a transaction that only reads. */
export type Ask = Pick<Pool, 'query'>;

/**
 * A question to the database that never holds up its asker and never piles up. The returned function asks it, or joins
 * in when it is being asked already, and waits `waitMs` at the most: DV_DATABASE_UNREACHABLE after that. The
 * question itself may go on for `limitMs` (its answer can still be used by `question`); then server and client break
 * it off and the connection is destroyed.
 */
export function singleFlightQuery<T>(
  pool: Pool,
  { waitMs, limitMs }: { waitMs: number; limitMs: number },
  question: (ask: Ask) => Promise<T>,
): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  const begin = () => {
    const asking = ask(pool, limitMs, question).finally(() => {
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
      late.reject(new DvError('DV_DATABASE_UNREACHABLE', `The database did not answer within ${waitMs} ms.`));
    }, waitMs);
    try {
      return await Promise.race([underWay, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}

async function ask<T>(pool: Pool, limitMs: number, question: (ask: Ask) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let destroyed = false;
  const destroy = () => {
    if (!destroyed) client.release(true);
    destroyed = true;
  };
  // The server breaks off what is slow there; this is for a connection that has gone quiet.
  const timer = setTimeout(destroy, limitMs + 500);
  try {
    await client.query(`begin read only; set local statement_timeout = ${limitMs}`);
    const answer = await question(client);
    await client.query('commit');
    if (!destroyed) client.release();
    return answer;
  } catch (error) {
    destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
