import { beforeAll, expect, test } from 'vitest';
import { machineOver } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { advanceClock, executorOf, gate, pastOf, rowOf, untilAborted } from './support.ts';

const activities = { work: scripted<'done'>('done') };
const hasty = machineOver<typeof activities>()({
  name: 'hasty',
  version: 1,
  initial: 'work',
  states: {
    work: { kind: 'activity', task: 'work', startToCloseMs: 150, on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});

const engine = useEngine({ machines: [hasty], activities });
const { database, script, executor } = engine;
beforeAll(async () => {
  await database.pool.query('create table public.things (id integer primary key, n integer)');
  await database.pool.query('insert into public.things values (1, 0)');
});
const start = async (key: string) => engine.start('hasty', key);

async function goesOnAfterTimeout(run: string): Promise<void> {
  expect(await rowOf(database.pool, run)).toMatchObject({
    ...{ status: 'RUNNING', state: 'work', attempt: 1, claimed_by: null },
    error: { code: 'DV_TIMEOUT', class: 'retryable', message: 'work did not end within 0.15 s.' },
  });
  await advanceClock(database.pool, '2 seconds');
  await executor.advance(run);
  expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', error: null });
  expect(await pastOf(database.pool, run)).toEqual([
    'CREATED work/0',
    'STARTED work/1',
    'FAILED work/1 retry',
    'STARTED work/2',
    'COMPLETED work/2 done>end',
    'CLOSED end/0 COMPLETED',
  ]);
}

test('it fires the AbortSignal; an activity that heeds it fails with the timeout, not with its own abort', async () => {
  const run = await start('heeds');
  let reason: unknown;
  script.on('heeds', 'work', ({ attempt, signal }) => {
    if (attempt > 1) return { outcome: 'done' };
    signal.addEventListener('abort', () => (reason = signal.reason));
    return untilAborted(signal);
  });
  await executor.advance(run);
  expect(reason).toMatchObject({ name: 'TimeoutError' });
  await goesOnAfterTimeout(run);
});

test('it does not wait for an activity that ignores it, and discards the late result', async () => {
  const run = await start('ignores');
  const later = gate();
  let effects = 0;
  script.on('ignores', 'work', async ({ attempt }) => {
    if (attempt === 1) await later.promise;
    return async () => {
      effects += 1;
      return { outcome: 'done', context: { attempt } };
    };
  });
  await executor.advance(run);
  later.resolve();
  await goesOnAfterTimeout(run);
  expect(effects).toBe(1);
  expect(await rowOf(database.pool, run)).toMatchObject({ context: { attempt: 2 } });
});

test('it destroys the connection of a hanging effect, and the server releases its locks', async () => {
  const run = await start('hangs');
  let pid: unknown;
  const removed: unknown[] = [];
  const note = (client: unknown) => removed.push((client as { processID: number }).processID);
  database.pool.on('remove', note);
  script.on('hangs', 'work', ({ attempt }) => async (tx) => {
    const { rows } = await tx.query<{ pid: number }>(
      'update public.things set n = n + 1 where id = 1 returning pg_backend_pid() as pid',
    );
    if (attempt === 1) {
      pid = rows[0]?.pid;
      await tx.query('select pg_sleep(60)');
    }
    return { outcome: 'done' };
  });
  await executor.advance(run);
  await expect.poll(() => removed).toEqual([pid]);
  database.pool.off('remove', note);
  const backend = async () =>
    (await database.pool.query('select from pg_stat_activity where pid = $1', [pid])).rowCount;
  await expect.poll(backend, { timeout: 3000 }).toBe(0);
  // Otherwise the second attempt's update would wait for the first one's lock.
  await goesOnAfterTimeout(run);
  expect((await database.pool.query('select n from public.things')).rows).toEqual([{ n: 1 }]);
});

test('a hanging effect between two statements cannot write any more', async () => {
  const run = await start('hangs between');
  const [later, ended] = [gate(), gate<unknown>()];
  script.on('hangs between', 'work', ({ attempt }) => async (tx) => {
    if (attempt === 1) {
      await later.promise;
      await tx.query('update public.things set n = 100 where id = 1').then(ended.resolve, ended.resolve);
    }
    return { outcome: 'done' };
  });
  await executor.advance(run);
  later.resolve();
  expect(await ended.promise).toBeInstanceOf(Error);
  await goesOnAfterTimeout(run);
  expect((await database.pool.query('select n from public.things where n = 100')).rowCount).toBe(0);
});

test.each([
  ['stop', 'RELEASED work/1', { status: 'RUNNING', attempt: 0, error: null }],
  ['cancel', 'FAILED work/1 cancelled', { status: 'CANCELLED', error: { code: 'DV_RUN_CANCELLED' } }],
  ['time', 'FAILED work/1 retry', { status: 'RUNNING', attempt: 1, error: { code: 'DV_TIMEOUT' } }],
])('what an aborted activity throws (%s) is not taken for a failure of its own', async (why, event, row) => {
  const run = await start(`broken off: ${why}`);
  const begun = gate();
  const quick = await executorOf(
    {
      pool: database.pool,
      machines: [hasty],
      activities: {
        // Not async: it rejects before anybody else is notified of the abort.
        work: ({ signal }) => {
          begun.resolve();
          return untilAborted(signal);
        },
      },
    },
    script,
    'quick',
  );
  const advance = quick.advance(run);
  await begun.promise;
  if (why === 'cancel') await database.pool.query('select workflow.cancel($1)', [run]);
  if (why === 'stop') quick.abortAll();
  if (why === 'cancel') quick.abortCancelled(run);
  await advance;
  expect(await pastOf(database.pool, run)).toContain(event);
  expect(await rowOf(database.pool, run)).toMatchObject(row);
});
