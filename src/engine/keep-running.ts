import type { Runner } from 'graphile-worker';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { DvError } from '../errors/dv-error.ts';

/** A runner of Graphile Worker that is there until it is stopped. */
export interface KeptRunner {
  stop(): Promise<void>;
  /** Settles when it has stopped; fails with DV_DATABASE_NEWER when it cannot be started again. */
  ended: Promise<void>;
}

export interface KeepOptions {
  start: () => Promise<Runner>;
  /** Told each time a runner ended by itself, before the next one: what it held is to be given back. */
  onEnd: () => Promise<void>;
  log: Logger;
  /** Between two tries to start again. */
  pauseMs?: number;
}

/** Graphile Worker's sign that its tables were changed by a newer version in a way this one cannot work with. */
const BREAKING = 57;

/**
 * Starts a runner, and starts it again whenever it ends by itself: Graphile Worker gives up when it loses track of its
 * own state, as it may when Postgres goes away. The first start's error is the caller's.
 */
export async function keepRunning(options: KeepOptions): Promise<KeptRunner> {
  const { log, pauseMs = 1000 } = options;
  const stopping = new AbortController();
  let runner = await options.start();

  const startAgain = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        // Said for the process by the runner that ended; ours goes on.
        if (process.exitCode === BREAKING) process.exitCode = undefined;
        await options.onEnd();
        runner = await options.start();
        return;
      } catch (error) {
        if (process.exitCode === BREAKING) {
          process.exitCode = undefined;
          throw new DvError(
            'DV_DATABASE_NEWER',
            'Graphile Worker was migrated by a newer program, which this dict-vsync cannot work beside. Use that version.',
            { cause: error },
          );
        }
        log.warn({ error: nameOf(error) }, 'the queue cannot be worked on yet; it is tried again');
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
    // Stopped between two runners: the one that came up meanwhile goes too.
    await runner.stop().catch(() => undefined);
    await runner.promise.catch(() => undefined);
  };
  const ended = watch();
  ended.catch(() => undefined);

  return {
    ended,
    stop: async () => {
      stopping.abort();
      // It refuses when it has ended already, by itself.
      await runner.stop().catch(() => undefined);
      await ended.catch(() => undefined);
    },
  };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
