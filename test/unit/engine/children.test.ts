import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Child } from '../../../src/engine/activity-contract.ts';
import { cancelRun, historyOf, listRuns, type RunningWorker } from '../../../src/engine/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { useEngine } from './engine-fixture.ts';
import { advanceClock, gate, pastOf, rowOf, rowOfKey, untilStatus } from './support.ts';
import { activities, awaiting, child, leaving, renewing } from './children-machines.ts';

const machines = [child, leaving, awaiting, renewing];
const { database, script, executor, start, work } = useEngine({ machines, activities });
const children = (parent: string, policy?: Child['policy'], n = 2): Child[] =>
  Array.from({ length: n }, (_, index) => ({
    ...{ machine: 'child', key: `${parent}/${index}`, input: { index } },
    ...(policy && { policy }),
  }));

describe('children', () => {
  beforeAll(async () => {
    // As a worker's start does: otherwise the first to add such a job makes the others wait.
    await database.pool.query(
      `insert into graphile_worker._private_tasks (identifier) values ('advance_run')`,
    );
  });

  async function parentOf(key: string, policy?: Child['policy']): Promise<string> {
    const run = await start('leaving', key);
    script.on(key, 'spawn', () => ({ outcome: 'spawned', children: children(key, policy) }));
    await executor.advance(run);
    return run;
  }

  test('are started with the parent’s transition, linked to it', async () => {
    const run = await parentOf('linked');
    const parent = await rowOf(database.pool, run);
    const { correlationId } = (await listRuns(database.pool, { ids: [run] }))[0] ?? {};
    const started = (await listRuns(database.pool, { parentId: run })).toReversed();
    expect(started).toMatchObject([
      {
        workflowKey: 'linked/0',
        input: { index: 0 },
        startedBy: `run ${run}`,
        correlationId,
        status: 'PENDING',
      },
      {
        workflowKey: 'linked/1',
        input: { index: 1 },
        startedBy: `run ${run}`,
        correlationId,
        status: 'PENDING',
      },
    ]);
    expect(parent.status).toBe('WAITING');
    expect((await historyOf(database.pool, run))[2]).toMatchObject({
      detail: { children: started.map(({ id }) => id) },
    });
  });

  test('are started once, though the step that starts them is repeated', async () => {
    const run = await start('leaving', 'repeated');
    script.on('repeated', 'spawn', ({ attempt }) => {
      if (attempt > 1) return { outcome: 'spawned', children: children('repeated') };
      // All but the last can be started: the whole step rolls back.
      return {
        outcome: 'spawned',
        children: [...children('repeated'), { machine: 'none', key: 'x', input: {} }],
      };
    });
    script.on('repeated once more', 'spawn', () => ({ outcome: 'spawned', children: children('repeated') }));
    await executor.advance(run);
    expect(await listRuns(database.pool, { parentId: run })).toEqual([]);
    expect((await rowOf(database.pool, run)).error?.code).toBe('DV_MACHINE_UNKNOWN');
    await database.pool.query('select workflow.retry($1)', [run]);
    script.on('repeated', 'spawn', () => ({ outcome: 'spawned', children: children('repeated') }));
    await executor.advance(run);
    await executor.advance(await start('leaving', 'repeated once more'));
    const { rows } = await database.pool.query(
      `select count(*)::integer as runs from workflow.runs where workflow_key like 'repeated/%'`,
    );
    expect(rows).toEqual([{ runs: 2 }]);
  });

  test.each([
    { policy: undefined, idle: 'PENDING', busy: 'RUNNING', after: 'COMPLETED' },
    { policy: 'ABANDON', idle: 'PENDING', busy: 'RUNNING', after: 'COMPLETED' },
    { policy: 'TERMINATE', idle: 'TERMINATED', busy: 'TERMINATED', after: 'TERMINATED' },
    // A busy child is cancelled at the end of its step.
    { policy: 'REQUEST_CANCEL', idle: 'CANCELLED', busy: 'RUNNING', after: 'CANCELLED' },
  ] as const)('with $policy, when the parent closes', async ({ policy, idle, busy, after }) => {
    const key = `closing ${policy}`;
    const run = await parentOf(key, policy);
    const [inWork, proceed] = [gate(), gate()];
    script.on(`${key}/0`, 'work', async () => {
      inWork.resolve();
      await proceed.promise;
      throw new DvError('DV_DICT_INTERNAL', 'x');
    });
    const works = executor.advance((await rowOfKey(database.pool, `${key}/0`)).id);
    await inWork.promise;
    await database.pool.query(`select workflow.signal($1, 'leave')`, [run]);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
    expect((await rowOfKey(database.pool, `${key}/0`)).status).toBe(busy);
    expect((await rowOfKey(database.pool, `${key}/1`)).status).toBe(idle);
    script.on(`${key}/0`, 'work', () => ({ outcome: 'done' }));
    proceed.resolve();
    await works;
    await advanceClock(database.pool, '2 seconds');
    await executor.advance((await rowOfKey(database.pool, `${key}/0`)).id);
    expect((await rowOfKey(database.pool, `${key}/0`)).status).toBe(after);
  });

  test('of a cancelled parent are cancelled by policy, down to the last', async () => {
    const run = await start('leaving', 'line');
    script.on('line', 'spawn', () => ({
      outcome: 'spawned',
      children: [{ machine: 'leaving', key: 'line/middle', input: {}, policy: 'TERMINATE' }],
    }));
    script.on('line/middle', 'spawn', () => ({
      outcome: 'spawned',
      children: children('line', 'REQUEST_CANCEL', 1),
    }));
    await executor.advance(run);
    await executor.advance((await rowOfKey(database.pool, 'line/middle')).id);
    await cancelRun(database.pool, run, 'test', null);
    expect((await rowOf(database.pool, run)).status).toBe('CANCELLED');
    expect((await rowOfKey(database.pool, 'line/middle')).status).toBe('TERMINATED');
    expect((await rowOfKey(database.pool, 'line/0')).status).toBe('CANCELLED');
  });

  test('a run that awaits children it does not have continues immediately', async () => {
    const run = await start('awaiting', 'childless');
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });

  test('the end of the last child is not lost while the parent enters its wait', async () => {
    const run = await start('awaiting', 'race');
    script.on('race', 'spawn', () => ({ outcome: 'spawned', children: children('race', 'ABANDON', 1) }));
    const client = await database.pool.connect();
    // The child's end is written but not committed while the parent looks whether it has ended.
    script.on('race', 'between', async () => {
      await client.query('begin');
      await client.query('select workflow.cancel($1)', [(await rowOfKey(database.pool, 'race/0')).id]);
      return { outcome: 'done' };
    });
    try {
      await executor.advance(run);
      expect((await rowOf(database.pool, run)).status).toBe('WAITING');
      await client.query('commit');
    } finally {
      client.release();
    }
    const { rows } = await database.pool.query(
      `select task_identifier, run_at <= clock_timestamp() as due from graphile_worker.jobs
       where key = 'children:' || $1`,
      [run],
    );
    expect(rows).toEqual([{ task_identifier: 'advance_run', due: true }]);
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });
});

describe('with a worker', () => {
  let worker: RunningWorker;
  beforeAll(async () => {
    worker = await work({ concurrency: 4 });
  });
  afterAll(async () => worker.stop());

  test('a parent that awaits its children continues when the last one ends', async () => {
    const last = gate();
    script.on('family', 'spawn', () => ({ outcome: 'spawned', children: children('family', 'ABANDON', 5) }));
    script.on('family/3', 'work', async () => {
      await last.promise;
      return { outcome: 'done' };
    });
    const run = await start('awaiting', 'family');
    for (const n of [0, 1, 2, 4]) {
      await expect
        .poll(async () => rowOfKey(database.pool, `family/${n}`).catch(() => null), {
          interval: 20,
          timeout: 5000,
        })
        .toMatchObject({ status: 'COMPLETED' });
    }
    // Each end nudges the parent, which looks and continues to wait.
    await untilStatus(database.pool, run, 'WAITING');
    last.resolve();
    await untilStatus(database.pool, run, 'COMPLETED', 2000);
    expect(await pastOf(database.pool, run)).toContain('WOKEN wait/0 children_closed>end');
  });

  test('a parent may end before its children', async () => {
    const later = gate();
    script.on('early', 'spawn', () => ({ outcome: 'spawned', children: children('early') }));
    script.on('early/0', 'work', async () => {
      await later.promise;
      return { outcome: 'done' };
    });
    const run = await start('leaving', 'early');
    await untilStatus(database.pool, run, 'WAITING');
    await database.pool.query(`select workflow.signal($1, 'leave')`, [run]);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
    later.resolve();
    for (const child of ['early/0', 'early/1']) {
      await untilStatus(database.pool, (await rowOfKey(database.pool, child)).id, 'COMPLETED');
    }
    expect(await rowOfKey(database.pool, 'early/1')).toMatchObject({ status: 'COMPLETED', parent_id: run });
  });
});
