import type { Logger } from 'pino';
import { DvError } from '../errors/dv-error.ts';
import { fromDatabase } from './database-errors.ts';

/** Something a worker does again and again beside its steps; never twice at once. */
export interface Chore {
  name: string;
  everyMs: number;
  run: () => Promise<void>;
}

/** SQLSTATEs of a statement that waited too long for a lock, or ran too long. */
const BROKEN_OFF = new Set(['55P03', '57014']);

/** DV_CHORE_BLOCKED of a statement that Postgres broke off at its limit; undefined for any other error. */
export function asBlocked(error: unknown): DvError | undefined {
  const code = error instanceof Error ? (error as { code?: string }).code : undefined;
  if (code === undefined || !BROKEN_OFF.has(code)) return undefined;
  return new DvError(
    'DV_CHORE_BLOCKED',
    `Postgres broke a statement off (SQLSTATE ${code}): it waited too long for a lock, or ran too long. It is tried ` +
      'again; pg_stat_activity and pg_locks show who is in its way.',
    { cause: error },
  );
}

/**
 * Starts the chores, each on a clock of its own; the returned function stops them and waits for those under way. One that
 * fails is said in the log with its code, and tried again.
 */
export function startChores(chores: readonly Chore[], log: Logger): () => Promise<void> {
  let stopped = false;
  const loops = chores.map((chore) => {
    let timer: NodeJS.Timeout | undefined;
    let under: Promise<void> = Promise.resolve();
    const once = async () => {
      try {
        await chore.run();
      } catch (error) {
        const known = asBlocked(error) ?? fromDatabase(error);
        const name = error instanceof Error ? error.name : 'unknown';
        if (known instanceof DvError) {
          log.warn({ chore: chore.name, code: known.code, error: name }, `a chore failed: ${known.message}`);
        } else {
          log.warn(
            { chore: chore.name, code: 'DV_UNEXPECTED', error: name },
            'a chore failed; it is tried again',
          );
        }
      }
      if (!stopped) schedule();
    };
    const schedule = () => {
      timer = setTimeout(() => {
        under = once();
      }, chore.everyMs);
    };
    schedule();
    return async () => {
      clearTimeout(timer);
      await under;
    };
  });
  return async () => {
    stopped = true;
    await Promise.all(loops.map(async (stop) => stop()));
  };
}
