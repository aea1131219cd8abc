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
  /** Session connections (LISTEN, prepared statements) for Graphile Worker, where `pool` goes through a pooler. */
  sessionPool?: Pool | undefined;
  /** For the sweep and ticks: connections whose statements the server breaks off when they take too long. Default: `pool`. */
  chorePool?: Pool | undefined;
  /** Told when no heartbeat has got through for so long that other workers take over: connections may be dead. */
  onSilence?: () => void;
  /** How many runs at once. The pool needs twice as many connections and some. */
  concurrency: number;
  graphileSchema: string;
  schedules: readonly Schedule[];
  /** By the task named in the crontab. */
  ticks: Record<string, TickHandler>;
  chores: readonly Chore[];
  /** How long a stopping worker lets the steps under way end before it hands them over. Default 10 s. */
  drainMs?: number;
}

export interface RunningWorker {
  id: string;
  /** Drains: begins nothing new, lets steps end or hands them over, then leaves. */
  stop(): Promise<void>;
  /** Settles when the worker has ended, whether asked or not. */
  ended: Promise<void>;
  /** When the last heartbeat got through, in milliseconds of Date.now(). */
  lastHeartbeat(): number;
}

/** Between two tries of a tick that could not be decided. */
const LATE_TICK_MS = 5000;
/**
 * Jobs are fetched for all slots in one statement, and an idle worker asks once, not once a slot. When all slots are
 * busy it may have fetched jobs that another worker has a slot for: it gives those back after so long.
 */
const LOCAL_QUEUE_TTL_MS = 500;

/** Starts a worker: stores the machines, registers the schedules, then works until stopped. */
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

  // What Graphile Worker locks jobs with: the id of its pool. It has another one when it was started again.
  const graphilePools: string[] = [];
  const events: WorkerEvents = new EventEmitter();
  events.on('pool:create', ({ workerPool }) => {
    graphilePools.push(workerPool.id);
    heartbeat.setPools(graphilePools);
  });

  // Schedules whose ticks could not be decided: Graphile Worker would try its job again in hours at last.
  const late = new Set<Schedule>();
  const fire = async (schedule: Schedule) => {
    const handler = options.ticks[schedule.task];
    if (handler === undefined) {
      log.error({ schedule: schedule.name, task: schedule.task }, 'the crontab names a task that is none');
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

  // Graphile Worker's cron knows UTC only, and its matcher no year: ours says "due?", workflow.schedules decides.
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
    // Ticks missed while no worker ran.
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
        // What ended holds its jobs for hours otherwise.
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
    log.warn(`no heartbeat has got through for ${SILENCE_MS / 1000} s; the connections are given up`);
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

  // Whatever ended the queue: a worker that does no work any more must not look alive.
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
    // Its work is handed over by now: without the database it just stops, and its lease runs out.
    await pool
      .query('update workflow.workers set stopped_at = clock_timestamp() where id = $1', [id])
      .catch(() => log.warn({ worker: id }, 'the database did not hear that this worker stopped'));
    log.info({ worker: id }, 'worker stopped');
  };
  return {
    id,
    stop: async () => (stopped ??= leave()),
    ended,
    lastHeartbeat: heartbeat.last,
  };
}

/** Graphile Worker's log lines in ours; its chatter about each job is debug. */
function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger(() => (level, message) => {
    if (level === 'error' || level === 'warning') log.warn({ source: 'graphile-worker' }, message);
    else log.trace({ source: 'graphile-worker' }, message);
  });
}
