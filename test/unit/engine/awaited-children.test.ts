import { describe, expect, test } from 'vitest';
import type { Child } from '../../../src/engine/activity-contract.ts';
import { cancelRun } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { advanceClock, rowOf, rowOfKey } from './support.ts';
import { activities, awaiting, child, leaving, renewing } from './children-machines.ts';

const machines = [child, leaving, awaiting, renewing];
const { database, script, executor, start } = useEngine({ executorId: 'x', machines, activities });
const children = (parent: string, policy?: Child['policy'], n = 2): Child[] =>
  Array.from({ length: n }, (_, index) => ({
    ...{ machine: 'child', key: `${parent}/${index}`, input: { index } },
    ...(policy && { policy }),
  }));

describe('a child whose key is open already', () => {
  const statusOf = async (run: string) => (await rowOf(database.pool, run)).status;
  const signal = async (run: string, name: string) =>
    database.pool.query('select workflow.signal($1, $2)', [run, name]);
  const nudged = async (run: string) =>
    (await database.pool.query(`select from graphile_worker.jobs where key = 'children:' || $1`, [run]))
      .rowCount === 1;

  /** Another caller's run, and a parent that asks for it as its child and waits. */
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

  test('it is awaited like an own child, and its parent finds it', async () => {
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
    'it is left alone when its parent is cancelled: %s',
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

  test.each(['CANCELLED', 'TERMINATED', 'FAILED', 'POISONED'])(
    'it is awaited to its end %s',
    async (status) => {
      const { theirs, parent } = await wanted('child', `ends ${status}`);
      await database.pool.query('select workflow.close_run(r, $2) from workflow.runs r where id = $1', [
        theirs,
        status,
      ]);
      expect(await nudged(parent)).toBe(true);
      await executor.advance(parent);
      expect(await statusOf(parent)).toBe('COMPLETED');
    },
  );

  test('it is awaited in the run that takes over from it', async () => {
    const { theirs, parent } = await wanted('renewing', 'renewed');
    await signal(theirs, 'renew');
    await executor.advance(parent);
    expect([await statusOf(theirs), await statusOf(parent)]).toEqual(['CONTINUED', 'WAITING']);
    await signal((await rowOfKey(database.pool, 'renewed')).id, 'leave');
    await executor.advance(parent);
    expect(await statusOf(parent)).toBe('COMPLETED');
  });

  test('it is awaited by all who asked for it, also by its own parent', async () => {
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

  test('a parent does not wait for it where it waits for its parent itself', async () => {
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

  test('it may end while it is asked for: then the parent has a child of its own', async () => {
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

  test('the sweep has nothing to repair as long as it is open', async () => {
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
