import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { machineOver, signalRun, type RunningWorker } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { advanceClock, executorOf, pastOf, rowOf, untilStatus } from './support.ts';

const activities = { work: scripted<'done'>('done') };
const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
const rejected = { kind: 'terminal', closesAs: 'REJECTED' } as const;
const decision = machineOf({
  name: 'decision',
  version: 1,
  initial: 'work',
  states: {
    work: { kind: 'activity', task: 'work', on: { done: 'wait' } },
    wait: { kind: 'wait', signals: ['approve', 'reject'], on: { approve: 'after', reject: 'rejected' } },
    after: { kind: 'activity', task: 'work', on: { done: 'wait_again' } },
    wait_again: {
      kind: 'wait',
      signals: ['approve', 'reject'],
      deadlineMs: 60_000,
      on: { approve: 'end', reject: 'rejected', timeout: 'end' },
    },
    end,
    rejected,
  },
});
const wait = {
  kind: 'wait',
  signals: ['go'],
  deadlineMs: 3_600_000,
  on: { go: 'end', timeout: 'rejected' },
} as const;
const waitFirst = machineOf({
  name: 'wait-first',
  version: 1,
  initial: 'wait',
  states: { wait, end, rejected },
});

const { database, script, bench, executor, start, work } = useEngine({
  machines: [decision, waitFirst],
  activities,
});
const signal = async (run: string, name: string, payload = {}) =>
  signalRun(database.pool, run, name, payload, 'ana');

describe('a wait', () => {
  test('it takes a signal that was there before, once', async () => {
    const run = await start('decision', 'before');
    await signal(run, 'approve', { set: 'abc' });
    expect((await rowOf(database.pool, run)).state).toBe('work');
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      ...{ status: 'WAITING', state: 'wait_again' },
      context: { signal: { name: 'approve', payload: { set: 'abc' }, by: 'ana' } },
    });
    expect(await pastOf(database.pool, run)).toEqual([
      'CREATED work/0',
      'SIGNALLED work/0 approve',
      'STARTED work/1',
      'COMPLETED work/1 done>wait',
      'WOKEN wait/0 approve>after',
      'STARTED after/1',
      'COMPLETED after/1 done>wait_again',
      'WAITING wait_again/0',
    ]);
  });

  test('it takes the first of two signals, and the second stays for the next wait', async () => {
    const run = await start('decision', 'two');
    await signal(run, 'approve');
    await signal(run, 'reject');
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'REJECTED', state: 'rejected' });
    expect((await pastOf(database.pool, run)).filter((event) => event.startsWith('WOKEN'))).toEqual([
      'WOKEN wait/0 approve>after',
      'WOKEN wait_again/0 reject>rejected',
    ]);
  });

  test('it leaves alone a signal that it does not take', async () => {
    const run = await start('decision', 'other');
    await executor.advance(run);
    await signal(run, 'dance');
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'WAITING', state: 'wait' });
    await signal(run, 'reject');
    expect((await rowOf(database.pool, run)).status).toBe('REJECTED');
    const { rows } = await database.pool.query(
      'select name, consumed_at is not null as consumed from workflow.signals where run_id = $1 order by id',
      [run],
    );
    expect(rows).toEqual([
      { name: 'dance', consumed: false },
      { name: 'reject', consumed: true },
    ]);
  });

  test('a signal to a run in the middle of a step is taken when the run waits', async () => {
    const run = await start('decision', 'middle');
    script.on('middle', 'work', async () => {
      await signal(run, 'reject');
      return { outcome: 'done' };
    });
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('REJECTED');
  });

  test('a signal that was rolled back was never given', async () => {
    const run = await start('decision', 'rolled back');
    await executor.advance(run);
    const client = await database.pool.connect();
    try {
      await client.query('begin');
      await client.query(`select workflow.signal($1, 'approve')`, [run]);
      await client.query('rollback');
    } finally {
      client.release();
    }
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'WAITING', state: 'wait' });
  });

  test('it ends with its deadline, even when the machine begins with it', async () => {
    const run = await start('decision', 'deadline');
    await signal(run, 'approve');
    await executor.advance(run);
    const first = await start('wait-first', 'deadline of the first state');
    expect(await rowOf(database.pool, first)).toMatchObject({ status: 'WAITING', version: 0 });
    await advanceClock(database.pool, '59 seconds');
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('WAITING');
    await advanceClock(database.pool, '1 second');
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
    expect(await pastOf(database.pool, run)).toContain('WOKEN wait_again/0 timeout>end');
    await advanceClock(database.pool, '1 hour');
    await executor.advance(first);
    expect((await rowOf(database.pool, first)).status).toBe('REJECTED');
  });

  test('a signal for a run that is closed, or does not exist, is refused with a code', async () => {
    const run = await start('wait-first', 'closed');
    await signal(run, 'go');
    await expect(signal(run, 'go')).rejects.toMatchObject({ code: 'DV_RUN_CLOSED' });
    const nobody = '00000000-0000-7000-8000-000000000000';
    await expect(signal(nobody, 'go')).rejects.toMatchObject({ code: 'DV_RUN_NOT_FOUND' });
    const { rows } = await database.pool.query(
      'select count(*)::integer as signals from workflow.signals where run_id = any ($1)',
      [[run, nobody]],
    );
    expect(rows).toEqual([{ signals: 1 }]);
  });

  test('it takes each of several simultaneous signals once', async () => {
    const run = await start('decision', 'simultaneous');
    await executor.advance(run);
    await Promise.all(Array.from({ length: 6 }, async () => signal(run, 'approve')));
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', state: 'end' });
    const { rows } = await database.pool.query(
      'select count(consumed_at)::integer as consumed from workflow.signals where run_id = $1',
      [run],
    );
    expect(rows).toEqual([{ consumed: 2 }]);
  });
});

test('a job that comes while this process still works on the run is not lost', async () => {
  const run = await start('decision', 'in hand');
  // Between the commit that made the run wait and its answer comes a signal, and the job of that signal.
  const held = new Proxy(database.pool, {
    get(pool, property) {
      if (property !== 'query') return Reflect.get(pool, property) as unknown;
      return async (sql: string, values: unknown[]) => {
        const answer = await pool.query(sql, values);
        if (sql.includes('complete_step') && script.count('in hand', 'after') === 0) {
          await signal(run, 'approve');
          await slow.advance(run);
        }
        return answer;
      };
    },
  });
  const slow = await executorOf({ ...bench(), pool: held }, script, 'slow');
  await slow.advance(run);
  expect(await rowOf(database.pool, run)).toMatchObject({ status: 'WAITING', state: 'wait_again' });
});

describe('with a worker', () => {
  let worker: RunningWorker;
  beforeAll(async () => {
    worker = await work();
  });
  afterAll(async () => worker.stop());

  test('a run continues within a second of its signal', async () => {
    const run = await start('decision', 'quick');
    await untilStatus(database.pool, run, 'WAITING');
    const began = performance.now();
    await signal(run, 'approve');
    await expect
      .poll(async () => (await rowOf(database.pool, run)).state, { interval: 5 })
      .toBe('wait_again');
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test('a signal that comes at the very moment a run begins to wait is not lost', async () => {
    const runs = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => start('decision', `moment ${n}`)),
    );
    await Promise.all(
      runs.map(async (run) => {
        await untilStatus(database.pool, run, 'WAITING');
        await signal(run, 'approve');
        await expect
          .poll(async () => (await rowOf(database.pool, run)).state, { interval: 5, timeout: 3000 })
          .toBe('wait_again');
        await signal(run, 'approve');
        await untilStatus(database.pool, run, 'COMPLETED', 3000);
      }),
    );
  });
});
