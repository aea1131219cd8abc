import { beforeEach, describe, expect, test } from 'vitest';
import { listRuns, machineOver, retryRun, startRun } from '../../../src/engine/index.ts';
import { createHealth } from '../../../src/http/health.ts';
import { createMetrics } from '../../../src/http/metrics.ts';
import { activities, parent } from './children-machines.ts';
import { useEngine } from './engine-fixture.ts';
import { pastOf, rowOf, rowOfKey, silence, untilStatus } from './support.ts';

const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
const twoSteps = machineOf({
  name: 'two-steps',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two' } },
    two: { kind: 'activity', task: 'work', on: { done: 'end' } },
    end,
  },
});

const engine = useEngine({ machines: [twoSteps, parent], activities });
const { database, script, executorAs, work } = engine;
const start = async (key: string) => engine.start('two-steps', key);
const sweep = async () =>
  (await database.pool.query<{ run_id: string; what: string }>('select * from workflow.sweep()')).rows;

beforeEach(() => script.clear());

let deaths = 0;
/** A worker claims the runs and falls silent for ever; returns what the sweep then says of each. */
async function dieIn(...runs: string[]): Promise<string[]> {
  deaths += 1;
  const worker = `dies ${deaths}`;
  await database.pool.query(`select workflow.heartbeat($1, '{}')`, [worker]);
  for (const run of runs) {
    // It waits for the delay that keeps two suspects apart.
    await database.pool.query('update workflow.runs set wake_at = workflow.now() where id = $1', [run]);
    await database.pool.query('select workflow.claim($1, $2)', [run, worker]);
    expect(await rowOf(database.pool, run)).toMatchObject({ claimed_by: worker });
  }
  await silence(database.pool, worker);
  const swept = await sweep();
  return runs.map((run) => swept.find(({ run_id }) => run_id === run)?.what ?? 'nothing');
}

test('the third worker that dies in a step is the last: the run is poisoned, and others continue', async () => {
  const run = await start('deadly');
  expect(await dieIn(run)).toEqual(['abandoned']);
  expect(await dieIn(run)).toEqual(['abandoned']);
  expect(await dieIn(run)).toEqual(['poisoned']);
  expect(await rowOf(database.pool, run)).toMatchObject({
    ...{ status: 'POISONED', state: 'one', failed_state: 'one', claimed_by: null },
    error: { code: 'DV_STEP_POISONED' },
  });
  expect((await listRuns(database.pool, { status: 'POISONED' })).map(({ id }) => id)).toEqual([run]);
  const worker = await work();
  try {
    await untilStatus(database.pool, await start('harmless'), 'COMPLETED');
    expect(script.count('deadly', 'one')).toBe(0);

    const { warnings } = await createHealth({ pool: database.pool, worker }).check();
    expect(warnings).toMatchObject([
      { warning: 'runs_poisoned', message: expect.stringContaining('(two-steps 1)') as string },
    ]);
    const metrics = createMetrics(database.pool);
    metrics.onRecovered('without job');
    const text = await metrics.registry.metrics();
    expect(text).toContain('dict_vsync_runs{machine="two-steps",status="POISONED"} 1');
    expect(text).toContain('dict_vsync_recovered_total{what="without_job"} 1');

    expect(await retryRun(database.pool, run, 'a person', 'the bug is fixed')).toBe('one');
    await untilStatus(database.pool, run, 'COMPLETED');
    expect((await createHealth({ pool: database.pool, worker }).check()).warnings).toEqual([]);
  } finally {
    await worker.stop();
  }
});

describe('a run is not poisoned by', () => {
  test('deaths in different steps, and before a retry', async () => {
    const run = await start('here and there');
    await dieIn(run);
    await dieIn(run);
    const executor = await executorAs('lives');
    script.on('here and there', 'two', () => {
      throw new Error('no');
    });
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ state: 'two', attempt: 1 });
    expect(await dieIn(run)).toEqual(['abandoned']);
    expect(await dieIn(run)).toEqual(['abandoned']);
    expect(await dieIn(run)).toEqual(['poisoned']);
    await retryRun(database.pool, run, 'a person', null);
    expect(await dieIn(run)).toEqual(['abandoned']);
  });

  test('a claim whose answer got lost: its worker lives and asks again', async () => {
    const run = await start('asked again');
    await database.pool.query(`select workflow.heartbeat('forgetful', '{}')`);
    for (let times = 0; times < 5; times++) {
      await database.pool.query(`select workflow.claim($1, 'forgetful')`, [run]);
    }
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'RUNNING', attempt: 5 });
  });

  test('a cancellation: a run that somebody had cancelled is cancelled', async () => {
    const run = await start('cancelled and deadly');
    await dieIn(run);
    await dieIn(run);
    await database.pool.query(`select workflow.heartbeat('last', '{}')`);
    await database.pool.query('update workflow.runs set wake_at = workflow.now() where id = $1', [run]);
    await database.pool.query(`select workflow.claim($1, 'last')`, [run]);
    await database.pool.query('select workflow.cancel($1)', [run]);
    await silence(database.pool, 'last');
    await sweep();
    expect((await rowOf(database.pool, run)).status).toBe('CANCELLED');
  });
});

test('steps that died together twice are begun apart from each other, so that the harmless ones get through', async () => {
  const runs = [await start('one of them'), await start('another'), await start('a third')];
  await dieIn(...runs);
  const atOnce = await Promise.all(runs.map(async (run) => (await rowOf(database.pool, run)).wakes_in ?? 0));
  expect(Math.max(...atOnce)).toBeLessThan(0.1);
  await dieIn(...runs);
  const apart = await Promise.all(runs.map(async (run) => (await rowOf(database.pool, run)).wakes_in ?? 0));
  const sorted = apart.toSorted((a, b) => a - b);
  expect(sorted[1]! - sorted[0]!).toBeGreaterThan(4);
  expect(sorted[2]! - sorted[1]!).toBeGreaterThan(4);
});

test('a poisoned run that had lived for weeks is shown too', async () => {
  const run = await start('old and deadly');
  // Its id says when it began; runs that began long ago and have ended are no longer counted.
  await database.pool.query('select workflow.advance_clock($1)', ['8 days']);
  const aged = `00000000-0000-7000-8000-${run.slice(-12)}`;
  await database.pool.query(`set session_replication_role = replica;
    update workflow.runs set id = '${aged}' where id = '${run}';
    update workflow.history set run_id = '${aged}' where run_id = '${run}';
    reset session_replication_role`);
  for (const end of ['abandoned', 'abandoned', 'poisoned']) expect(await dieIn(aged)).toEqual([end]);
  const text = await createMetrics(database.pool).registry.metrics();
  expect(text).toContain('dict_vsync_runs{machine="two-steps",status="POISONED"} 1');
});

test('a parent sees a poisoned child as a failed one', async () => {
  const executor = await executorAs('with child');
  script.on('mother', 'spawn', () => ({
    outcome: 'spawned',
    children: [{ machine: 'two-steps', key: 'deadly child', input: {} }],
  }));
  const mother = await startRun(database.pool, 'parent', 'mother', {}, 'test');
  await executor.advance(mother);
  const { id: child } = await rowOfKey(database.pool, 'deadly child');
  await dieIn(child);
  await dieIn(child);
  expect(await dieIn(child)).toEqual(['poisoned']);
  const worker = await work();
  try {
    await untilStatus(database.pool, mother, 'COMPLETED');
  } finally {
    await worker.stop();
  }
  expect((await pastOf(database.pool, child)).at(-1)).toBe('CLOSED one/3 POISONED');
});
