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
import { type Connections, impatient } from './connections.ts';
import { Executor, type ExecutorOptions } from './executor.ts';
import { keepRunning } from './keep-running.ts';
import { fireDueTicks, registerSchedules, type TickHandler } from './schedule.ts';
import { storeMachines } from './store-machines.ts';

/** Something a worker does again and again beside its steps; never twice at once. */
export interface Chore {
  name: string;
  everyMs: number;
  run: () => Promise<void>;
}

export interface WorkerOptions<S> extends Omit<ExecutorOptions<S>, 'workerId' | 'pool'> {
  pool: Pool;
  /** Session connections (LISTEN, prepared statements) for Graphile Worker, where `pool` goes through a pooler. */
  sessionPool?: Pool;
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

interface Claimed {
  runId: string;
  version: number;
  cancel: boolean;
}

const HEARTBEAT_MS = 3000;
const SWEEP_MS = 5000;
/** By now other workers have taken over what this one held. */
const SILENCE_MS = 15_000;
/** What the engine asks is short, and may wait for a person's lock a while. */
const PATIENCE_MS = 30_000;
/** 1 s retries must not come at 3 s: due jobs are polled, and Graphile Worker's default is 2 s. */
const POLL_MS = 500;

/** Starts a worker: stores the machines, registers the schedules, then works until stopped. */
export async function startWorker<S>(options: WorkerOptions<S>): Promise<RunningWorker> {
  const { log } = options;
  const pool = impatient(options.pool, PATIENCE_MS);
  const sessionPool = options.sessionPool ?? options.pool;
  const id = `worker-${randomUUID()}`;
  await storeMachines(pool, options.machines);
  await registerSchedules(pool, options.schedules);
  const executor = new Executor({ ...options, pool, workerId: id });

  // What Graphile Worker locks jobs with: the id of its pool.
  const graphilePools: string[] = [];
  const events: WorkerEvents = new EventEmitter();
  events.on('pool:create', ({ workerPool }) => graphilePools.push(workerPool.id));

  let lastHeartbeat = 0;
  let idleClaims = new Set<string>();
  const heartbeat = async () => {
    const { rows } = await pool.query<Claimed>(
      'select run_id as "runId", run_version::float8 as version, cancel from workflow.heartbeat($1, $2)',
      [id, graphilePools],
    );
    lastHeartbeat = Date.now();
    const idle = new Set<string>();
    for (const { runId, version, cancel } of rows) {
      const claim = `${runId} ${version}`;
      if (executor.worksOn(runId)) {
        if (cancel) executor.abortCancelled(runId);
      } else if (idleClaims.has(claim)) {
        // Claimed in our name, and nobody works on it: the answer to the claim got lost with its connection.
        log.warn({ runId }, 'a claim got lost; the step is handed back');
        await executor.release({ id: runId, version });
      } else {
        idle.add(claim);
      }
    }
    idleClaims = idle;
  };
  await heartbeat();

  const fire = async (schedule: Schedule) => {
    const handler = options.ticks[schedule.task];
    if (handler === undefined) {
      log.error({ schedule: schedule.name, task: schedule.task }, 'the crontab names a task that is none');
      return;
    }
    const tick = await fireDueTicks(pool, schedule, handler);
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

  // Ticks missed while no worker ran.
  for (const schedule of options.schedules) await fire(schedule);

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
      concurrency: options.concurrency,
      pollInterval: POLL_MS,
      noHandleSignals: true,
      logger: graphileLogger(log),
      events,
      taskList,
      parsedCronItems,
    });
  const runner = await keepRunning({
    log,
    start: startRunner,
    onEnd: async () => {
      // What ended holds its jobs for hours otherwise.
      const gone = graphilePools.splice(0);
      await pool.query('select workflow.unlock_jobs($1)', [gone]);
    },
  });

  let saidAt = 0;
  const watchSilence = () => {
    const since = Math.max(lastHeartbeat, saidAt);
    if (Date.now() - since <= SILENCE_MS) return;
    saidAt = Date.now();
    log.warn('no heartbeat has got through for 15 s; the connections are given up');
    options.onSilence?.();
  };
  const chores: Chore[] = [
    { name: 'heartbeat', everyMs: HEARTBEAT_MS, run: heartbeat },
    { name: 'lost-jobs', everyMs: SWEEP_MS, run: async () => freeLostJobs(pool, log) },
    { name: 'silence', everyMs: HEARTBEAT_MS, run: async () => watchSilence() },
    { name: 'sweep', everyMs: SWEEP_MS, run: async () => sweep(pool, log) },
    ...options.chores,
  ];
  const stopChores = startChores(chores, log);
  await heartbeat();
  log.info({ worker: id, concurrency: options.concurrency }, 'worker ready');

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
    await pool
      .query('update workflow.workers set stopped_at = clock_timestamp() where id = $1', [id])
      // With the database away, the others see it by its silence.
      .catch((error: unknown) =>
        log.warn({ error: error instanceof Error ? error.name : 'unknown' }, 'left unsaid'),
      );
    log.info({ worker: id }, 'worker stopped');
  };
  return {
    id,
    stop: async () => (stopped ??= leave()),
    ended: runner.ended,
    lastHeartbeat: () => lastHeartbeat,
  };
}

async function sweep(pool: Connections, log: Logger): Promise<void> {
  const { rows } = await pool.query<{ run_id: string; what: string }>('select * from workflow.sweep()');
  for (const row of rows) log.warn({ runId: row.run_id, mended: row.what }, 'recovered a run');
}

/** Graphile Worker neither awaits nor repeats what tells the queue of a job's end: with its connection that is lost. */
async function freeLostJobs(pool: Connections, log: Logger): Promise<void> {
  const { rows } = await pool.query<{ id: string }>('select workflow.free_lost_jobs() as id');
  for (const { id } of rows) log.warn({ runId: id, mended: 'lost job' }, 'recovered a run');
}

/** Starts the chores; the returned function stops them and waits for those under way. */
function startChores(chores: readonly Chore[], log: Logger): () => Promise<void> {
  let stopped = false;
  const loops = chores.map((chore) => {
    let timer: NodeJS.Timeout | undefined;
    let under: Promise<void> = Promise.resolve();
    const once = async () => {
      try {
        await chore.run();
      } catch (error) {
        log.warn(
          { chore: chore.name, error: error instanceof Error ? error.name : 'unknown' },
          'a chore failed; it is tried again',
        );
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

/** Graphile Worker's log lines in ours; its chatter about each job is debug. */
function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger(() => (level, message) => {
    if (level === 'error' || level === 'warning') log.warn({ source: 'graphile-worker' }, message);
    else log.trace({ source: 'graphile-worker' }, message);
  });
}
