import { Writable } from 'node:stream';
import type { Pool } from 'pg';
import { pino, type Logger } from 'pino';
import { expect } from 'vitest';
import type { Activities, Json } from '../../../src/engine/activity-contract.ts';
import { Executor } from '../../../src/engine/executor.ts';
import { historyOf } from '../../../src/engine/index.ts';
import type { Machine } from '../../../src/engine/machine.ts';
import { storeMachines } from '../../../src/engine/store-machines.ts';
import { startWorker, type RunningWorker, type WorkerOptions } from '../../../src/engine/worker.ts';
import type { Script } from './script.ts';

export { advanceClock } from '../../support/clock.ts';

export interface CapturedLog {
  log: Logger;
  text(): string;
}

export function captureLog(): CapturedLog {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { log: pino({ level: 'trace' }, stream), text: () => lines.join('') };
}

export interface Bench {
  pool: Pool;
  machines: readonly Machine[];
  activities: Activities<Script>;
}

/** An executor of its own, alive like a worker: takes a run as far as possible, in the test's own time. */
export async function executorOf(bench: Bench, script: Script, workerId: string, log = captureLog().log) {
  await storeMachines(bench.pool, bench.machines);
  await bench.pool.query(`select workflow.heartbeat($1, '{}')`, [workerId]);
  return new Executor({ ...bench, services: script, workerId, log });
}

/** A worker as the service starts it; the test stops it. */
export async function workerOf(
  bench: Bench,
  script: Script,
  options: Partial<WorkerOptions<Script>> = {},
): Promise<RunningWorker> {
  return startWorker({
    ...bench,
    services: script,
    log: captureLog().log,
    concurrency: 2,
    graphileSchema: 'graphile_worker',
    schedules: [],
    ticks: {},
    chores: [],
    ...options,
  });
}

/** A run's row, as the engine keeps it. */
export interface RunRow {
  id: string;
  state: string;
  status: string;
  attempt: number;
  polls: number;
  version: number;
  input: Json;
  context: Json;
  error: { code: string; message: string } | null;
  failed_state: string | null;
  claimed_by: string | null;
  continued_from: string | null;
  parent_id: string | null;
  workflow_key: string;
  /** Seconds from the engine's now to wake_at. */
  wakes_in: number | null;
}

export async function rowOf(pool: Pool, runId: string): Promise<RunRow> {
  const { rows } = await pool.query<RunRow>(
    `select *, version::integer as version, extract(epoch from wake_at - workflow.now())::float8 as wakes_in
     from workflow.runs where id = $1`,
    [runId],
  );
  if (rows[0] === undefined) throw new Error('no such run');
  return rows[0];
}

/** The open run of a key, otherwise its newest. */
export async function rowOfKey(pool: Pool, key: string): Promise<RunRow> {
  const { rows } = await pool.query<{ id: string }>('select workflow.find_run($1) as id', [key]);
  return rowOf(pool, rows[0]?.id ?? '');
}

/** Waits until a run has the status. */
export async function untilStatus(
  pool: Pool,
  runId: string,
  status: string,
  timeout = 10_000,
): Promise<void> {
  await expect.poll(async () => (await rowOf(pool, runId)).status, { timeout, interval: 10 }).toBe(status);
}

/** A run's history in short: `EVENT state/attempt outcome>next`. */
export async function pastOf(pool: Pool, runId: string): Promise<string[]> {
  const events = await historyOf(pool, runId);
  return events.map(({ event, state, attempt, outcome, nextState }) =>
    [
      `${event} ${state}/${attempt}`,
      outcome === null ? '' : ` ${outcome}`,
      nextState === null ? '' : `>${nextState}`,
    ].join(''),
  );
}

/** Makes a worker look silent for a long time. */
export async function silence(pool: Pool, workerId: string): Promise<void> {
  await pool.query(`update workflow.workers set heartbeat_at = now() - interval '1 hour' where id = $1`, [
    workerId,
  ]);
}

/** A promise and the function that resolves it, for a step that the test keeps waiting. */
export function gate<T = void>() {
  return Promise.withResolvers<T>();
}

/** Until a signal fires; rejects as an activity's own abort would. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('broken off')), { once: true });
  });
}
