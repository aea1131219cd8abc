import { DvError } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** The step that reads the event log, and whether an earlier step of the round has already given it up. */
export interface LogPatience {
  attempt: number;
  enteredAt: Date;
  logUnavailable: boolean;
}

/** At this attempt of a step the log is given up. */
export const ATTEMPTS = 3;

/** How long a step waits for DICT's rate limit before it continues without the log. */
const RATE_LIMIT_WAIT_SECONDS = 300;

/**
 * Reads DICT's event log, or says why the step continues without it: the log could not be read for a week for some
 * key types, while DICT's files could be had. An error that may pass is thrown, so that the step is retried, until its third
 * attempt or, at a rate limit, for five minutes. The log of this round is not waited for again (`logUnavailable`).
 */
export async function readLogPatiently<T extends object>(
  db: Db,
  read: () => Promise<T>,
  { attempt, enteredAt, logUnavailable }: LogPatience,
): Promise<T | DvError> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DvError) || error.code === 'DV_BRIDGE_CANCELLED') throw error;
    if (error.class === 'not_retryable' || logUnavailable) return error;
    // Each attempt begins at the first page, so five key types that need many pages could block one another for ever.
    const givenUp =
      error.class === 'rate_limited'
        ? await isPast(db, enteredAt, RATE_LIMIT_WAIT_SECONDS)
        : attempt >= ATTEMPTS;
    if (!givenUp) throw error;
    return error;
  }
}

/** Whether `seconds` have passed since `time`, by the engine's clock. */
async function isPast(db: Db, time: Date, seconds: number): Promise<boolean> {
  const { rows } = await db.query<{ past: boolean }>(
    `select workflow.now() > $1::timestamptz + $2 * interval '1 second' as past`,
    [time, seconds],
  );
  return one(rows).past;
}
