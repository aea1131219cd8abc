import { beforeAll, describe, expect, test } from 'vitest';
import { historyOf, startRun } from '../../../src/engine/index.ts';
import { activities, chain } from './chain-machine.ts';
import { useEngine } from './engine-fixture.ts';
import { executorOf, pastOf, rowOf, untilStatus } from './support.ts';

const engine = useEngine({ executorId: 'first', machines: [chain], activities });
const { database, script, executor, bench, work } = engine;
const start = async (key: string) => engine.start('chain', key);

beforeAll(async () => {
  await database.pool.query('create table public.effects (key text, what text)');
});

async function effectsOf(key: string): Promise<string[]> {
  const { rows } = await database.pool.query<{ what: string }>(
    'select what from public.effects where key = $1',
    [key],
  );
  return rows.map(({ what }) => what);
}

describe('a step', () => {
  test('it commits its effect together with the transition, the context and the history', async () => {
    const run = await start('together');
    let inside: unknown;
    script.on('together', 'one', () => async (tx) => {
      await tx.query(`insert into public.effects values ('together', 'one')`);
      // Before the commit nobody sees any of it.
      inside = [await effectsOf('together'), (await rowOf(database.pool, run)).state];
      return { outcome: 'done', context: { a: 1, b: { c: 2 } }, detail: { rows: 1 } };
    });
    script.on('together', 'two', ({ run: { context } }) => ({
      outcome: 'done',
      context: { b: context['a'] },
    }));
    await executor.advance(run);
    expect(inside).toEqual([[], 'one']);
    expect(await effectsOf('together')).toEqual(['one']);
    expect(await rowOf(database.pool, run)).toMatchObject({
      ...{ status: 'COMPLETED', state: 'end', context: { a: 1, b: 1 }, error: null, claimed_by: null },
      version: 3,
    });
    expect(await pastOf(database.pool, run)).toEqual([
      'CREATED one/0',
      'STARTED one/1',
      'COMPLETED one/1 done>two',
      'STARTED two/1',
      'COMPLETED two/1 done>three',
      'STARTED three/1',
      'COMPLETED three/1 done>end',
      'CLOSED end/0 COMPLETED',
    ]);
    const completed = (await historyOf(database.pool, run))[2];
    expect(completed).toMatchObject({ worker: 'first', detail: { rows: 1 } });
  });

  test('one whose effect throws leaves nothing', async () => {
    const run = await start('thrown');
    script.on('thrown', 'one', () => async (tx) => {
      await tx.query(`insert into public.effects values ('thrown', 'one')`);
      throw new Error('on purpose');
    });
    await executor.advance(run);
    expect(await effectsOf('thrown')).toEqual([]);
    expect(await rowOf(database.pool, run)).toMatchObject({ state: 'one', attempt: 1, claimed_by: null });
    expect(await pastOf(database.pool, run)).toEqual([
      'CREATED one/0',
      'STARTED one/1',
      'FAILED one/1 retry',
    ]);
  });

  test('one with an outcome that its state does not have fails, and its effect is undone', async () => {
    const run = await start('unknown outcome');
    script.on('unknown outcome', 'one', () => async (tx) => {
      await tx.query(`insert into public.effects values ('unknown outcome', 'one')`);
      return { outcome: 'undone' };
    });
    await executor.advance(run);
    expect(await effectsOf('unknown outcome')).toEqual([]);
    expect(await rowOf(database.pool, run)).toMatchObject({
      status: 'FAILED',
      error: { code: 'DV_OUTCOME_UNKNOWN' },
    });
  });

  test('one with a task that this program lacks is left to a program that has it', async () => {
    const run = await start('unknown task');
    const { finish: _, ...fewer } = activities;
    const other = await executorOf({ ...bench(), activities: fewer }, script, 'other');
    await other.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      ...{ status: 'RUNNING', state: 'three', attempt: 0, error: null, claimed_by: null },
    });
    const { rows } = await database.pool.query(
      `select task_identifier as task from graphile_worker.jobs where key = 'run:' || $1`,
      [run],
    );
    expect(rows).toEqual([{ task: 'finish' }]);
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });

  test('it receives the run, the state and the attempt it works on', async () => {
    const run = await startRun(database.pool, 'chain', 'informed', { participant: '12345678' }, 'test');
    let seen: unknown;
    script.on('informed', 'one', ({ run: of, state, task, attempt, repetitions, enteredAt }) => {
      const late = Math.abs(enteredAt.getTime() - Date.now()) > 60_000;
      seen = { run: of, state, task, attempt, repetitions, late };
      return { outcome: 'done' };
    });
    await executor.advance(run);
    expect(seen).toEqual({
      run: {
        ...{
          id: run,
          machine: 'chain',
          workflowKey: 'informed',
          input: { participant: '12345678' },
          context: {},
        },
        ...{ correlationId: expect.stringMatching(/^[0-9a-f]{32}$/) as string },
        ...{ parentId: null, error: null, failedState: null },
      },
      ...{ state: 'one', task: 'work', attempt: 1, repetitions: 0, late: false },
    });
  });

  test('one that is ready immediately continues under the same job', async () => {
    const run = await start('one job');
    const jobs: { id: string; waits: boolean }[][] = [];
    for (const state of ['one', 'two', 'three']) {
      script.on('one job', state, async () => {
        const { rows } = await database.pool.query<{ id: string; waits: boolean }>(
          `select id, locked_at is null as waits from graphile_worker._private_jobs where payload ->> 'run' = $1`,
          [run],
        );
        jobs.push(rows);
        return { outcome: 'done' };
      });
    }
    const worker = await work();
    await untilStatus(database.pool, run, 'COMPLETED');
    await worker.stop();
    expect(jobs[0]).toMatchObject([{ waits: false }]);
    expect(jobs).toEqual([jobs[0], jobs[0], jobs[0]]);
  });
});
