import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** With these settings the server logs every wait for a lock that takes this long. */
export const LOGGED_WAIT_MS = 10;
export const LOCK_WAIT_SETTINGS = { log_lock_waits: 'on', deadlock_timeout: `${LOGGED_WAIT_MS}ms` };

export interface LockWaits {
  /** Waits for the end of another transaction: for a row, a tuple, an advisory lock, a table. */
  forOthers: number;
  /** Waits to extend the table's file: the lock is kept for that moment, never until a commit. */
  forSpace: number;
}

/** The waits of these server processes, from the server's log in `directory`. */
export async function lockWaits(directory: string, processes: readonly number[]): Promise<LockWaits> {
  const log = await readFile(join(directory, 'postgres', 'postgres.log'), 'utf8');
  const waits: LockWaits = { forOthers: 0, forSpace: 0 };
  for (const [, process, lock = ''] of log.matchAll(/process (\d+) still waiting for \w+ on (.+) after/g)) {
    if (!processes.includes(Number(process))) continue;
    if (lock.startsWith('extension of')) waits.forSpace++;
    else waits.forOthers++;
  }
  return waits;
}
