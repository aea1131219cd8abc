import type { Worker } from 'node:worker_threads';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { startThread } from '../worker-thread.ts';
import {
  type BeatMessage,
  type HeartbeatRequest,
  type OwnClaim,
  SEEN,
  type ThreadOrder,
} from './heartbeat-shared.ts';
import { BEAT_MS, BEAT_TIMEOUT_MS, MAIN_TICK_MS, STUCK_MS } from './lease.ts';

export interface Heartbeat {
  /** The ids of Graphile Worker's pools, with which jobs are locked. They are sent with the next beat. */
  setPools(pools: readonly string[]): void;
  /** Sends a beat immediately. Never fails, even if the beat does. */
  beat(): Promise<void>;
  /** When the last beat succeeded, in milliseconds of Date.now(). */
  last(): number;
  stop(): Promise<void>;
}

export interface HeartbeatOptions {
  pool: Pool;
  workerId: string;
  log: Logger;
  /** Called after each beat with the runs claimed in this worker's name. */
  onBeat: (claims: readonly OwnClaim[]) => Promise<void>;
}

/**
 * Sends heartbeats from a separate thread on a separate connection, so that a worker with a busy event loop or an
 * exhausted pool does not look dead. A worker whose event loop hangs for 30 s counts as dead, and other workers take
 * over its runs. The first beat has succeeded when this resolves.
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
  const onMessage = (message: BeatMessage) => {
    if (message.kind === 'stuck') {
      log.error(
        `the event loop hung for ${STUCK_MS / 1000} s; until it ran again this worker counted as dead`,
      );
      return;
    }
    handled = handled
      .then(async () => onBeat(message.claims))
      .catch((error: unknown) => {
        log.warn(
          { error: error instanceof Error ? error.name : 'unknown' },
          'the answer to a heartbeat could not be processed; the next one will be',
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
    thread.on('message', onMessage);
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
      if (thread !== undefined) send(thread, pools);
    },
    // If it fails, the thread's next beat follows soon.
    beat: async () => beat().catch(() => undefined),
    last: () => Number(Atomics.load(seen, SEEN.beat)),
    stop: async () => {
      stopped = true;
      clearInterval(ticking);
      clearTimeout(again);
      if (thread !== undefined) await stopThread(thread);
      await handled;
    },
  };
}

function send(thread: Worker, message: ThreadOrder): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  thread.postMessage(message);
}

/** Waits for the running beat: if it arrived after its worker has stopped, the worker would look alive again. */
async function stopThread(thread: Worker): Promise<void> {
  const gone = new Promise((resolve) => thread.once('exit', resolve));
  thread.ref();
  send(thread, 'stop');
  const timer = setTimeout(() => void thread.terminate(), BEAT_TIMEOUT_MS);
  if (thread.threadId !== -1) await gone;
  clearTimeout(timer);
}
