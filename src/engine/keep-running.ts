import type { Runner } from 'graphile-worker';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { DvError } from '../errors/dv-error.ts';

/** A runner of Graphile Worker that runs until it is stopped. */
export interface KeptRunner {
  stop(): Promise<void>;
  /** Resolves when it has stopped. Rejects with DV_DATABASE_NEWER if it cannot be started again. */
  ended: Promise<void>;
}

export interface KeepOptions {
  start: () => Promise<Runner>;
  /** Called each time that a runner has ended by itself, before the next one starts: unlock the jobs that it had. */
  onEnd: () => Promise<void>;
  log: Logger;
  /** The time between two tries to start again. */
  pauseMs?: number;
}

/** Graphile Worker sets this exit code if a newer version has changed its tables in an incompatible manner. */
const BREAKING = 57;

/**
 * Starts a runner, and starts it again whenever it ends by itself: Graphile Worker gives up when its own state becomes
 * inconsistent, for example while Postgres is unreachable. If the first start fails, the error is thrown.
 */
export async function keepRunning(options: KeepOptions): Promise<KeptRunner> {
  const { log, pauseMs = 1000 } = options;
  const stopping = new AbortController();
  let runner = await options.start();

  const startAgain = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        // The runner that ended has set the exit code of the process, but the process continues.
        if (process.exitCode === BREAKING) process.exitCode = undefined;
        await options.onEnd();
        runner = await options.start();
        return;
      } catch (error) {
        if (process.exitCode === BREAKING) {
          process.exitCode = undefined;
          throw new DvError(
            'DV_DATABASE_NEWER',
            'Graphile Worker was migrated by a newer program, and this dict-vsync cannot work with its tables. Use the newer dict-vsync.',
            { cause: error },
          );
        }
        log.warn({ error: nameOf(error) }, 'the queue cannot be processed yet; this is retried');
        await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  };

  const watch = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const reason = await runner.promise.then(
        () => 'none given',
        (error: unknown) => nameOf(error),
      );
      if (stopping.signal.aborted) return;
      log.warn({ error: reason }, 'Graphile Worker ended by itself; it is started again');
      await startAgain();
    }
    // If `stop` was called between two runners, the one that has started meanwhile is stopped too.
    await runner.stop().catch(() => undefined);
    await runner.promise.catch(() => undefined);
  };
  const ended = watch();
  ended.catch(() => undefined);

  return {
    ended,
    stop: async () => {
      stopping.abort();
      // It rejects if it has already ended by itself.
      await runner.stop().catch(() => undefined);
      await ended.catch(() => undefined);
    },
  };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
