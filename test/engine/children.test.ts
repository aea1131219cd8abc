import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Child } from '../../src/engine/activity.ts';
import type { Executor } from '../../src/engine/executor.ts';
import {
  cancelRun,
  historyOf,
  listRuns,
  machineOver,
  startRun,
  type RunningWorker,
} from '../../src/engine/index.ts';
import { DvError } from '../../src/errors.ts';
import { useTestDatabase } from '../support/database.ts';
import { Script, scripted } from './script.ts';
import { advanceClock, executorOf, gate, pastOf, rowOf, rowOfKey, untilStatus, workerOf } from './support.ts';

const activities = { work: scripted<'done'>('done'), spawn: scripted<'spawned'>('spawned') };
const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
const child = machineOf({
  name: 'child',
  version: 1,
  initial: 'work',
  states: { work: { kind: 'activity', task: 'work', on: { done: 'end' } }, end },
});
const leaving = machineOf({
  name: 'leaving',
  version: 1,
  initial: 'spawn',
  states: {
    spawn: { kind: 'spawn', task: 'spawn', on: { spawned: 'wait' } },
    wait: { kind: 'wait', signals: ['leave'], on: { leave: 'end' } },
    end,
  },
});
const awaiting = machineOf({
  name: 'awaiting',
  version: 1,
  initial: 'spawn',
  states: {
    spawn: { kind: 'spawn', task: 'spawn', on: { spawned: 'between' } },
    between: { kind: 'activity', task: 'work', on: { done: 'wait' } },
    wait: {
      kind: 'wait',
      signals: [],
      awaitsChildren: true,
      deadlineMs: 3_600_000,
      on: { children_closed: 'end', timeout: 'late' },
    },
    end,
    late: { kind: 'terminal', closesAs: 'REJECTED' },
  },
});

const renewing = machineOf({
  name: 'renewing',
  version: 1,
  initial: 'wait',
  states: {
    wait: { kind: 'wait', signals: ['renew', 'leave'], on: { renew: 'continued', leave: 'end' } },
    continued: { kind: 'terminal', closesAs: 'CONTINUED' },
    end,
  },
});

const database = useTestDatabase();
const script = new Script();
const bench = () => ({ pool: database.pool, machines: [child, leaving, awaiting, renewing], activities });
const children = (parent: string, policy?: Child['policy'], n = 2): Child[] =>
  Array.from({ length: n }, (_, index) => ({
    ...{ machine: 'child', key: `${parent}/${index}`, input: { index } },
    ...(policy && { policy }),
  }));
const start = async (machine: string, key: string) => startRun(database.pool, machine, key, {}, 'test');

describe('children', () => {
  let executor: Executor<Script>;
  beforeAll(async () => {
    executor = await executorOf(bench(), script, 'w');
    // As a worker's start does: else the first to add such a job makes the others wait.
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

  test('are started once, though the step that spawns them is repeated', async () => {
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
    const [inWork, goOn] = [gate(), gate()];
    script.on(`${key}/0`, 'work', async () => {
      inWork.resolve();
      await goOn.promise;
      throw new DvError('DV_TEST', 'x', { class: 'retryable' });
    });
    const works = executor.advance((await rowOfKey(database.pool, `${key}/0`)).id);
    await inWork.promise;
    await database.pool.query(`select workflow.signal($1, 'leave')`, [run]);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
    expect((await rowOfKey(database.pool, `${key}/0`)).status).toBe(busy);
    expect((await rowOfKey(database.pool, `${key}/1`)).status).toBe(idle);
    script.on(`${key}/0`, 'work', () => ({ outcome: 'done' }));
    goOn.resolve();
    await works;
    await advanceClock(database.pool, '2 seconds');
    await executor.advance((await rowOfKey(database.pool, `${key}/0`)).id);
    expect((await rowOfKey(database.pool, `${key}/0`)).status).toBe(after);
  });

  test('of a cancelled parent share its end by policy, down to the last', async () => {
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

  test('a run that awaits children it does not have goes on at once', async () => {
    const run = await start('awaiting', 'childless');
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });

  test('the last one’s end is not lost while the parent enters its wait', async () => {
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

describe('a child whose key is open already', () => {
  let executor: Executor<Script>;
  beforeAll(async () => {
    executor = await executorOf(bench(), script, 'x');
  });

  const statusOf = async (run: string) => (await rowOf(database.pool, run)).status;
  const signal = async (run: string, name: string) =>
    database.pool.query('select workflow.signal($1, $2)', [run, name]);
  const nudged = async (run: string) =>
    (await database.pool.query(`select from graphile_worker.jobs where key = 'children:' || $1`, [run]))
      .rowCount === 1;

  /** Somebody's run, and a parent that asks for it as its child and waits. */
  async function wanted(machine: string, key: string, policy?: Child['policy']) {
    const theirs = await start(machine, key);
    const parent = await start('awaiting', `wants ${key}`);
    script.on(`wants ${key}`, 'spawn', () => ({
      outcome: 'spawned',
      children: [{ machine, key, input: {}, ...(policy && { policy }) }],
    }));
    await executor.advance(parent);
    return { theirs, parent };
  }

  test('is awaited as one of its own, and found by its parent', async () => {
    const { theirs, parent } = await wanted('child', 'theirs');
    expect(await statusOf(parent)).toBe('WAITING');
    script.on('theirs', 'work', () => ({ outcome: 'done', context: { answer: 42 } }));
    await executor.advance(theirs);
    expect(await nudged(parent)).toBe(true);
    await executor.advance(parent);
    expect(await statusOf(parent)).toBe('COMPLETED');
    const { rows } = await database.pool.query(
      `select k.owned, c.context from workflow.children k join workflow.runs c on c.id = k.child_id where k.parent_id = $1`,
      [parent],
    );
    expect(rows).toEqual([{ owned: false, context: { answer: 42 } }]);
    expect(await rowOf(database.pool, theirs)).toMatchObject({ parent_id: null });
  });

  test.each(['ABANDON', 'TERMINATE', 'REQUEST_CANCEL'] as const)(
    'is left alone when its parent is cancelled: %s',
    async (policy) => {
      const { theirs, parent } = await wanted('leaving', `kept ${policy}`, policy);
      await cancelRun(database.pool, parent, 'test', null);
      expect([await statusOf(parent), await statusOf(theirs)]).toEqual(['CANCELLED', 'PENDING']);
      await executor.advance(theirs);
      await signal(theirs, 'leave');
      expect(await statusOf(theirs)).toBe('COMPLETED');
      expect(await nudged(parent)).toBe(false);
    },
  );

  test.each(['CANCELLED', 'TERMINATED', 'FAILED', 'POISONED'])('is awaited to its end %s', async (status) => {
    const { theirs, parent } = await wanted('child', `ends ${status}`);
    await database.pool.query('select workflow.close_run(r, $2) from workflow.runs r where id = $1', [
      theirs,
      status,
    ]);
    expect(await nudged(parent)).toBe(true);
    await executor.advance(parent);
    expect(await statusOf(parent)).toBe('COMPLETED');
  });

  test('is awaited in the run that takes over from it', async () => {
    const { theirs, parent } = await wanted('renewing', 'renewed');
    await signal(theirs, 'renew');
    await executor.advance(parent);
    expect([await statusOf(theirs), await statusOf(parent)]).toEqual(['CONTINUED', 'WAITING']);
    await signal((await rowOfKey(database.pool, 'renewed')).id, 'leave');
    await executor.advance(parent);
    expect(await statusOf(parent)).toBe('COMPLETED');
  });

  test('is awaited by all who asked for it, also by its own parent', async () => {
    const mother = await start('awaiting', 'mother');
    script.on('mother', 'spawn', () => ({
      outcome: 'spawned',
      children: children('mother', 'TERMINATE', 1),
    }));
    await executor.advance(mother);
    const aunt = await start('awaiting', 'aunt');
    script.on('aunt', 'spawn', () => ({ outcome: 'spawned', children: children('mother', 'TERMINATE', 1) }));
    await executor.advance(aunt);
    const { id, parent_id } = await rowOfKey(database.pool, 'mother/0');
    expect(parent_id).toBe(mother);
    await executor.advance(id);
    for (const parent of [mother, aunt]) {
      expect(await statusOf(parent)).toBe('WAITING');
      await executor.advance(parent);
      expect(await statusOf(parent)).toBe('COMPLETED');
    }
  });

  test('is no reason to wait where it waits for its parent itself', async () => {
    const above = await start('awaiting', 'above');
    script.on('above', 'spawn', () => ({
      outcome: 'spawned',
      children: [{ machine: 'awaiting', key: 'below', input: {} }],
    }));
    script.on('below', 'spawn', () => ({
      outcome: 'spawned',
      children: [
        { machine: 'awaiting', key: 'above', input: {} },
        { machine: 'awaiting', key: 'below', input: {} },
      ],
    }));
    await executor.advance(above);
    await executor.advance((await rowOfKey(database.pool, 'below')).id);
    expect((await rowOfKey(database.pool, 'below')).status).toBe('COMPLETED');
    await executor.advance(above);
    expect(await statusOf(above)).toBe('COMPLETED');
  });

  test('may end while it is asked for: then the parent has a child of its own', async () => {
    const theirs = await start('child', 'ends now');
    const parent = await start('awaiting', 'too late');
    script.on('too late', 'spawn', () => ({
      outcome: 'spawned',
      children: [{ machine: 'child', key: 'ends now', input: {} }],
    }));
    const client = await database.pool.connect();
    try {
      await client.query('begin');
      await client.query('select workflow.cancel($1)', [theirs]);
      const asked = executor.advance(parent);
      await expect
        .poll(async () => (await database.pool.query('select from pg_locks where not granted')).rowCount)
        .toBeGreaterThan(0);
      await client.query('commit');
      await asked;
    } finally {
      client.release();
    }
    expect(await statusOf(parent)).toBe('WAITING');
    const { id, parent_id } = await rowOfKey(database.pool, 'ends now');
    expect(parent_id).toBe(parent);
    await executor.advance(id);
    await executor.advance(parent);
    expect(await statusOf(parent)).toBe('COMPLETED');
  });

  test('is nothing for recovery to mend as long as it is open', async () => {
    const { theirs, parent } = await wanted('child', 'long');
    await advanceClock(database.pool, '10 seconds');
    const sweep = async () =>
      (await database.pool.query('select what from workflow.sweep() where run_id = $1', [parent])).rows;
    expect(await sweep()).toEqual([]);
    // The nudge got lost.
    await database.pool.query(`select workflow.cancel($1)`, [theirs]);
    await database.pool.query(`select graphile_worker.remove_job('children:' || $1)`, [parent]);
    await advanceClock(database.pool, '10 seconds');
    expect(await sweep()).toEqual([{ what: 'not woken' }]);
    expect(await statusOf(parent)).toBe('COMPLETED');
  });
});

describe('with a worker', () => {
  let worker: RunningWorker;
  beforeAll(async () => {
    worker = await workerOf(bench(), script, { concurrency: 4 });
  });
  afterAll(async () => worker.stop());

  test('a parent that awaits its children goes on when the last one ends', async () => {
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
    // Each end nudges the parent, which looks and waits on.
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
