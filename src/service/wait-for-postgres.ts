import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { fromDatabase } from '../engine/index.ts';
import { DvError } from '../errors/dv-error.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;

/**
 * Does work that needs Postgres. Retries it while Postgres is unreachable or busy (a migration's deadlock), and logs
 * each retry. Any other error is thrown immediately: waiting does not help against a wrong password, a missing database
 * or a newer schema. Returns undefined if `signal` fires before the work is done.
 */
export async function waitForPostgres<T>(
  { log, signal }: { log: Logger; signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T | undefined> {
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      const known = fromDatabase(error);
      if (!(known instanceof DvError && known.class === 'retryable')) throw error;
      log.warn(
        { code: known.code, retryInMs: pauseMs },
        `the worker is waiting for Postgres: ${known.message}`,
      );
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}
