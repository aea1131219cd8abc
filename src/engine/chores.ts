import type { Logger } from 'pino';
import { DvError } from '../errors/dv-error.ts';
import { fromDatabase } from './database-errors.ts';

/** Something that a worker repeats beside its steps. Two executions of one chore never overlap. */
export interface Chore {
  name: string;
  everyMs: number;
  run: () => Promise<void>;
}

/** SQLSTATEs of a statement that waited too long for a lock, or ran too long. */
const BROKEN_OFF = new Set(['55P03', '57014']);

/** DV_CHORE_BLOCKED if Postgres cancelled a statement at its time limit; undefined for any other error. */
export function asBlocked(error: unknown): DvError | undefined {
  const code = error instanceof Error ? (error as { code?: string }).code : undefined;
  if (code === undefined || !BROKEN_OFF.has(code)) return undefined;
  return new DvError(
    'DV_CHORE_BLOCKED',
    `Postgres cancelled a statement (SQLSTATE ${code}): it waited too long for a lock, or ran too long. It is retried. ` +
      'pg_stat_activity and pg_locks show which session blocks it.',
    { cause: error },
  );
}

/**
 * Starts the chores, each with its own timer. The returned function stops them and waits for those that are running. A
 * chore that fails is logged with its code and retried.
 */
export function startChores(chores: readonly Chore[], log: Logger): () => Promise<void> {
  let stopped = false;
  const loops = chores.map((chore) => {
    let timer: NodeJS.Timeout | undefined;
    let running: Promise<void> = Promise.resolve();
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
            'a chore failed; it is retried',
          );
        }
      }
      if (!stopped) schedule();
    };
    const schedule = () => {
      timer = setTimeout(() => {
        running = once();
      }, chore.everyMs);
    };
    schedule();
    return async () => {
      clearTimeout(timer);
      await running;
    };
  });
  return async () => {
    stopped = true;
    await Promise.all(loops.map(async (stop) => stop()));
  };
}
