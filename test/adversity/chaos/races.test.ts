import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  cancelRun,
  machineOver,
  type RunningWorker,
  signalRun,
  startRun,
} from '../../../src/engine/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { Script, scripted } from '../../unit/engine/script.ts';
import { rowOf, workerOf } from '../../unit/engine/support.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { brokenInvariants } from './invariants.ts';

const activities = { work: scripted<'done'>('done') };
const machine = machineOver<typeof activities>()({
  name: 'raced',
  version: 1,
  initial: 'first',
  states: {
    first: { kind: 'activity', task: 'work', on: { done: 'wait' } },
    wait: {
      kind: 'wait',
      signals: ['go'],
      deadlineMs: 3_600_000,
      on: { go: 'last', timeout: 'late' },
    },
    last: { kind: 'activity', task: 'work', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
    late: { kind: 'terminal', closesAs: 'REJECTED' },
  },
});

/** Does two things simultaneously, in enough runs to meet all timings, with two workers that take what comes. */
const RUNS = 40;
let database: TestDatabase;
let workers: RunningWorker[];
beforeEach(async () => {
  database = await createTestDatabase();
  const bench = { pool: database.pool, machines: [machine], activities };
  workers = [await workerOf(bench, new Script()), await workerOf(bench, new Script())];
});
afterEach(async () => {
  await Promise.all(workers.map(async (worker) => worker.stop()));
  await database.drop();
});

const start = async (key: string) => startRun(database.pool, 'raced', key, {}, 'test');
const go = async (run: string) => signalRun(database.pool, run, 'go', {}, 'test').catch(closedIsFine);
/** Of two simultaneous calls the later one may find the run closed. */
function closedIsFine(error: unknown): void {
  if (!(error instanceof DvError && ['DV_RUN_CLOSED', 'DV_QUEUE_BUSY'].includes(error.code))) throw error;
}

/** Ends all runs with a signal each, then looks at what is left. */
async function endAll(runs: readonly string[], allowed: readonly string[]): Promise<void> {
  const open = async () => {
    for (const run of runs) {
      const { status } = await rowOf(database.pool, run);
      if (status === 'WAITING') await go(run);
    }
    const { rows } = await database.pool.query(
      'select state, status from workflow.runs where closed_at is null',
    );
    return rows;
  };
  await expect.poll(open, { timeout: 20_000, interval: 50 }).toEqual([]);
  const { rows } = await database.pool.query<{ status: string }>('select distinct status from workflow.runs');
  for (const { status } of rows) expect(allowed).toContain(status);
  expect(await brokenInvariants(database.pool)).toEqual({});
}
const each = async <T>(race: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: RUNS }, async (_, n) => race(n)));
const runIds = async () =>
  (await database.pool.query<{ id: string }>('select id from workflow.runs')).rows.map(({ id }) => id);

describe('two simultaneous calls', () => {
  test('two starts of one key make one run', async () => {
    const ids = await each(async (n) => start(`key ${n % 4}`));
    expect(new Set(ids).size).toBe(4);
    await endAll(await runIds(), ['COMPLETED']);
  });

  test('of two signals one is consumed, and the run continues once', async () => {
    await each(async (n) => {
      const run = await start(`signalled ${n}`);
      await Promise.all([go(run), go(run), go(run)]);
    });
    await endAll(await runIds(), ['COMPLETED']);
    const { rows } = await database.pool.query<{ n: number }>(
      `select count(*)::integer as n from workflow.history where event = 'WOKEN' group by run_id`,
    );
    expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: RUNS }, () => 1));
  });

  test('a signal that races the step before the wait is never lost', async () => {
    await each(async (n) => {
      const run = await start(`before ${n}`);
      await go(run);
    });
    await endAll(await runIds(), ['COMPLETED']);
  });

  test('a signal that races its deadline: exactly one of them decides', async () => {
    const ids = await each(async (n) => start(`late ${n}`));
    await expect
      .poll(
        async () =>
          (await database.pool.query(`select from workflow.runs where status = 'WAITING'`)).rowCount,
      )
      .toBe(RUNS);
    await Promise.all([
      database.pool.query(`select workflow.advance_clock('3600 seconds')`),
      ...ids.map(async (run) => go(run)),
    ]);
    await endAll(ids, ['COMPLETED', 'REJECTED']);
    const { rows } = await database.pool.query<{ n: number }>(
      `select count(*)::integer as n from workflow.history where event = 'WOKEN' group by run_id`,
    );
    expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: RUNS }, () => 1));
  });

  test('a cancel that races the completion: the run is closed once, by the one or the other', async () => {
    await each(async (n) => {
      const run = await start(`cancelled ${n}`);
      await go(run);
      await cancelRun(database.pool, run, 'test', null).catch(closedIsFine);
    });
    await endAll(await runIds(), ['COMPLETED', 'CANCELLED']);
    const { rows } = await database.pool.query(
      `select run_id from workflow.history where event = 'CLOSED' group by 1 having count(*) <> 1`,
    );
    expect(rows).toEqual([]);
  });
});
