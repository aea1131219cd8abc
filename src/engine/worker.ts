import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import {
  Logger as GraphileLogger,
  parseCronItems,
  run,
  type TaskList,
  type WorkerEvents,
} from 'graphile-worker';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Schedule } from './crontab.ts';
import { asBlocked, type Chore, startChores } from './chores.ts';
import { withQueryTimeout } from './query-timeout.ts';
import { Executor, type ExecutorOptions } from './executor.ts';
import { keepRunning } from './keep-running.ts';
import { startHeartbeat } from './heartbeat.ts';
import { BEAT_MS, POLL_MS, QUERY_TIMEOUT_MS, SILENCE_MS, SWEEP_MS } from './lease.ts';
import { followClaims, type RecoveryOptions, sweep } from './recovery.ts';
import { fireDueTicks, registerSchedules, type TickHandler } from './cron-schedule.ts';
import { storeMachines } from './store-machines.ts';

export interface WorkerOptions<S> extends Omit<ExecutorOptions<S>, 'workerId' | 'pool'>, RecoveryOptions {
  pool: Pool;
  /** Session connections (LISTEN, prepared statements) for Graphile Worker, if `pool` connects through a pooler. */
  sessionPool?: Pool | undefined;
  /**
   * For the sweep and ticks: connections whose statements the server cancels if they take too long. Default: `pool`.
   */
  chorePool?: Pool | undefined;
  /** Called when no heartbeat has succeeded for so long that other workers take over. The connections may be dead. */
  onSilence?: () => void;
  /** How many runs it works on simultaneously. The pool needs a few more than twice as many connections. */
  concurrency: number;
  graphileSchema: string;
  schedules: readonly Schedule[];
  /** The handlers of ticks, by the task named in the crontab. */
  ticks: Record<string, TickHandler>;
  chores: readonly Chore[];
  /** How long a stopping worker waits for its running steps before it hands them over. Default 10 s. */
  drainMs?: number;
}

export interface RunningWorker {
  id: string;
  /** Drains: begins nothing new, lets steps end or hands them over, then stops. */
  stop(): Promise<void>;
  /** Resolves or rejects when the worker has ended, by `stop` or by itself. */
  ended: Promise<void>;
  /** When the last heartbeat succeeded, in milliseconds of Date.now(). */
  lastHeartbeat(): number;
}

/** The time between two tries to decide a tick. */
const LATE_TICK_MS = 5000;
/**
 * Jobs are fetched for all slots in one statement, so an idle worker sends one query and not one per slot. When all
 * slots are busy, the worker may have fetched jobs for which another worker has a free slot. It gives them back after
 * this time.
 */
const LOCAL_QUEUE_TTL_MS = 500;

/** Starts a worker: stores the machines, registers the schedules, then works until it is stopped. */
export async function startWorker<S>(options: WorkerOptions<S>): Promise<RunningWorker> {
  const { log } = options;
  const pool = withQueryTimeout(options.pool, QUERY_TIMEOUT_MS);
  const sessionPool = options.sessionPool ?? options.pool;
  const chorePool = options.chorePool ?? pool;
  const id = `worker-${randomUUID()}`;
  await storeMachines(pool, options.machines);
  await registerSchedules(pool, options.schedules);
  const executor = new Executor({ ...options, pool, workerId: id });

  const heartbeat = await startHeartbeat({
    pool: options.pool,
    workerId: id,
    log,
    onBeat: followClaims(pool, executor, options),
  });

  // Graphile Worker locks jobs with the id of its pool, which changes each time that it is started.
  const graphilePools: string[] = [];
  const events: WorkerEvents = new EventEmitter();
  events.on('pool:create', ({ workerPool }) => {
    graphilePools.push(workerPool.id);
    heartbeat.setPools(graphilePools);
  });

  // Schedules whose ticks could not be decided. Graphile Worker's own retries would soon be hours apart.
  const late = new Set<Schedule>();
  const fire = async (schedule: Schedule) => {
    const handler = options.ticks[schedule.task];
    if (handler === undefined) {
      log.error(
        { schedule: schedule.name, task: schedule.task },
        'the crontab names a task that does not exist',
      );
      return;
    }
    late.add(schedule);
    const tick = await fireDueTicks(chorePool, schedule, handler);
    late.delete(schedule);
    if (tick !== null) log.info({ schedule: schedule.name, tick }, 'tick');
  };
  const byName = new Map(options.schedules.map((schedule) => [schedule.name, schedule]));

  const advance = async (payload: unknown) => executor.advance((payload as { run: string }).run);
  const taskList: TaskList = { advance_run: advance };
  for (const task of Object.keys(options.activities)) taskList[task] = advance;
  // Runs that a program of an older version handed over (workflow.hand_over).
  for (const { name, version } of options.machines) {
    for (let known = 1; known <= version; known += 1) taskList[`machine:${name}:${known}`] = advance;
  }
  for (const task of Object.keys(options.ticks)) {
    taskList[task] = async (payload) => {
      const schedule = byName.get((payload as { schedule: string }).schedule);
      if (schedule !== undefined) await fire(schedule);
    };
  }

  // Graphile Worker's cron knows only UTC, and its matcher no years. So our own matcher says whether a tick may be due,
  // and workflow.schedules decides.
  const parsedCronItems = parseCronItems(
    options.schedules.map((schedule) => ({
      task: schedule.task,
      identifier: schedule.name,
      match: () => schedule.ticks(new Date(Date.now() - 120_000), new Date(), 1).length > 0,
      payload: { schedule: schedule.name },
      options: { jobKey: `schedule:${schedule.name}` },
    })),
  );
  const startRunner = async () =>
    run({
      pgPool: sessionPool,
      schema: options.graphileSchema,
      pollInterval: POLL_MS,
      preset: {
        worker: {
          concurrentJobs: options.concurrency,
          localQueue: { size: options.concurrency, ttl: LOCAL_QUEUE_TTL_MS },
        },
      },
      noHandleSignals: true,
      logger: graphileLogger(log),
      events,
      taskList,
      parsedCronItems,
    });
  const begin = async () => {
    // Ticks that were missed while no worker ran.
    for (const schedule of options.schedules) {
      await fire(schedule).catch((error: unknown) => {
        const blocked = asBlocked(error);
        if (blocked === undefined) throw error;
        log.warn({ schedule: schedule.name, code: blocked.code }, blocked.message);
      });
    }
    return keepRunning({
      log,
      start: startRunner,
      onEnd: async () => {
        // Otherwise the runner that ended would keep its jobs locked for hours.
        const gone = graphilePools.splice(0);
        await pool.query('select workflow.unlock_jobs($1)', [gone]);
      },
    });
  };
  const runner = await begin().catch(async (error: unknown) => {
    await heartbeat.stop();
    throw error;
  });

  let saidAt = 0;
  const watchSilence = () => {
    const since = Math.max(heartbeat.last(), saidAt);
    if (Date.now() - since <= SILENCE_MS) return;
    saidAt = Date.now();
    log.warn(
      `no heartbeat has succeeded for ${SILENCE_MS / 1000} s; all connections are closed and opened again`,
    );
    options.onSilence?.();
  };
  const chores: Chore[] = [
    { name: 'silence', everyMs: BEAT_MS, run: async () => watchSilence() },
    { name: 'sweep', everyMs: SWEEP_MS, run: async () => sweep(chorePool, options) },
    {
      name: 'ticks',
      everyMs: LATE_TICK_MS,
      run: async () => {
        const tries = await Promise.allSettled([...late].map(fire));
        for (const tried of tries) if (tried.status === 'rejected') throw tried.reason;
      },
    },
    ...options.chores,
  ];
  const stopChores = startChores(chores, log);
  await heartbeat.beat();
  log.info({ worker: id, concurrency: options.concurrency }, 'worker ready');

  // Whatever ended the queue: a worker that no longer works must not look alive.
  const untilEnded = async () => {
    try {
      await runner.ended;
    } finally {
      await stopChores();
      await heartbeat.stop();
    }
  };
  const ended = untilEnded();
  ended.catch(() => undefined);
  let stopped: Promise<void> | undefined;
  const leave = async () => {
    executor.drain();
    const timer = setTimeout(() => executor.abortAll(), options.drainMs ?? 10_000);
    try {
      await runner.stop();
    } finally {
      clearTimeout(timer);
    }
    await stopChores();
    await heartbeat.stop();
    // Its work is already handed over. If the database cannot be reached, the worker stops anyway and its lease
    // expires.
    await pool
      .query('update workflow.workers set stopped_at = clock_timestamp() where id = $1', [id])
      .catch(() =>
        log.warn(
          { worker: id },
          'the stop of this worker could not be recorded in the database; its lease expires by itself',
        ),
      );
    log.info({ worker: id }, 'worker stopped');
  };
  return {
    id,
    stop: async () => (stopped ??= leave()),
    ended,
    lastHeartbeat: heartbeat.last,
  };
}

/** Writes Graphile Worker's log lines to our log. Its lines about each job are traces. */
function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger(() => (level, message) => {
    if (level === 'error' || level === 'warning') log.warn({ source: 'graphile-worker' }, message);
    else log.trace({ source: 'graphile-worker' }, message);
  });
}
