import type { Worker } from 'node:worker_threads';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { startThread } from '../worker-thread.ts';
import {
  type BeatMessage,
  type HeartbeatRequest,
  type HeldClaim,
  SEEN,
  type ThreadOrder,
} from './heartbeat-shared.ts';
import { BEAT_MS, BEAT_TIMEOUT_MS, MAIN_TICK_MS, STUCK_MS } from './lease.ts';

export interface Heartbeat {
  /** Ids of Graphile Worker's pools, which jobs are locked with: told with the next beat. */
  setPools(pools: readonly string[]): void;
  /** Beats at once, if it gets through. */
  beat(): Promise<void>;
  /** When the last beat got through, in milliseconds of Date.now(). */
  last(): number;
  stop(): Promise<void>;
}

export interface HeartbeatOptions {
  pool: Pool;
  workerId: string;
  log: Logger;
  /** Told of the runs claimed in this worker's name, with each beat. */
  onBeat: (claims: readonly HeldClaim[]) => Promise<void>;
}

/**
 * Beats from a thread of its own, on a connection of its own: a busy event loop or an exhausted pool does not look
 * dead. One that hangs for 30 s does, and then its runs go to other workers. The first beat has got through when this
 * resolves.
 */
export async function startHeartbeat(options: HeartbeatOptions): Promise<Heartbeat> {
  const { pool, workerId, log, onBeat } = options;
  const shared = new SharedArrayBuffer(16);
  const seen = new BigInt64Array(shared);
  let pools: string[] = [];
  const beat = async () => {
    await pool.query('select from workflow.heartbeat($1, $2)', [workerId, pools]);
    Atomics.store(seen, SEEN.beat, BigInt(Date.now()));
  };
  await beat();

  const tick = () => Atomics.store(seen, SEEN.main, process.hrtime.bigint());
  tick();
  const ticking = setInterval(tick, MAIN_TICK_MS).unref();

  let handled: Promise<void> = Promise.resolve();
  const hear = (message: BeatMessage) => {
    if (message.kind === 'stuck') {
      log.error(
        `the event loop hung for ${STUCK_MS / 1000} s; until it ran again this worker was counted as dead`,
      );
      return;
    }
    handled = handled
      .then(async () => onBeat(message.claims))
      .catch((error: unknown) => {
        log.warn(
          { error: error instanceof Error ? error.name : 'unknown' },
          'a heartbeat was not followed up; the next one is',
        );
      });
  };

  let stopped = false;
  let thread: Worker | undefined;
  let again: NodeJS.Timeout | undefined;
  const start = () => {
    const request: HeartbeatRequest = {
      connectionString: pool.options.connectionString,
      workerId,
      pools,
      shared,
    };
    thread = startThread(
      'heartbeat-worker',
      () => new URL('./heartbeat-worker.ts', import.meta.url),
      request,
    );
    thread.on('message', hear);
    thread.on('error', (error) => {
      log.error({ error: error instanceof Error ? error.name : 'unknown' }, 'the heartbeat thread failed');
    });
    thread.on('exit', () => {
      if (!stopped) again = setTimeout(start, BEAT_MS).unref();
    });
    thread.unref();
  };
  start();

  return {
    setPools: (now) => {
      pools = [...now];
      if (thread !== undefined) tell(thread, pools);
    },
    // The thread's next beat says the same.
    beat: async () => beat().catch(() => undefined),
    last: () => Number(Atomics.load(seen, SEEN.beat)),
    stop: async () => {
      stopped = true;
      clearInterval(ticking);
      clearTimeout(again);
      if (thread !== undefined) await leave(thread);
      await handled;
    },
  };
}

function tell(thread: Worker, message: ThreadOrder): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  thread.postMessage(message);
}

/** Lets the beat under way end: one that arrives after its worker has left would bring it back to life. */
async function leave(thread: Worker): Promise<void> {
  const gone = new Promise((resolve) => thread.once('exit', resolve));
  thread.ref();
  tell(thread, 'stop');
  const timer = setTimeout(() => void thread.terminate(), BEAT_TIMEOUT_MS);
  if (thread.threadId !== -1) await gone;
  clearTimeout(timer);
}
