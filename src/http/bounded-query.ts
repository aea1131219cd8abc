import type { Pool } from 'pg';
import { DvError } from '../errors/dv-error.ts';

/** The client of a query: a read-only transaction. */
export type Ask = Pick<Pool, 'query'>;

/**
 * A query that never blocks its caller for long and never runs twice at the same time. The returned function runs
 * `question`, or joins an execution that is already running. It waits for at most `waitMs`; then it throws
 * DV_DATABASE_UNREACHABLE. The execution may continue for up to `limitMs`, and `question` can still use its answer.
 * After that the server cancels the statement, or the client destroys the connection.
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
    // The callers may have stopped waiting.
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
  // The server cancels slow statements. This timer is for a connection that no longer answers.
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
