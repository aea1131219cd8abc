import { beforeAll, expect, test } from 'vitest';
import { activities, chain } from './chain-machine.ts';
import { useEngine } from './engine-fixture.ts';
import { gate, pastOf, rowOf, silence } from './support.ts';

const engine = useEngine({ executorId: 'first', machines: [chain], activities });
const { database, script, executor, executorAs } = engine;
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

/**
 * A run whose first worker hangs in the effect of its step and was taken for dead, and whose step a second worker
 * repeats.
 */
async function takenOver(key: string, late: () => void) {
  const run = await start(key);
  const [first, second] = [
    { begun: gate(), proceed: gate() },
    { begun: gate(), proceed: gate() },
  ];
  script.on(key, 'one', ({ attempt }) => async (tx) => {
    await tx.query('insert into public.effects values ($1, $2)', [key, `attempt ${attempt}`]);
    const { begun, proceed } = attempt === 1 ? first : second;
    begun.resolve();
    await proceed.promise;
    if (attempt === 1) late();
    return { outcome: 'done', context: { by: attempt } };
  });
  const zombie = executor.advance(run);
  await first.begun.promise;
  await silence(database.pool, 'first');
  const other = (await executorAs('second')).advance(run);
  await second.begun.promise;
  return { run, first, second, zombie, other };
}

test.each([
  ['effect', () => undefined],
  [
    'failure',
    () => {
      throw new Error('late');
    },
  ],
])('the late %s of a worker taken for dead is discarded completely', async (what, late) => {
  const { run, first, second, zombie, other } = await takenOver(`zombie ${what}`, late);
  const before = await rowOf(database.pool, run);
  expect(before).toMatchObject({ claimed_by: 'second', attempt: 2, version: 2 });
  first.proceed.resolve();
  await zombie;
  expect(await effectsOf(`zombie ${what}`)).toEqual([]);
  // Its wake_at stays, and that time passes.
  expect({ ...(await rowOf(database.pool, run)), wakes_in: 0 }).toEqual({ ...before, wakes_in: 0 });
  second.proceed.resolve();
  await other;
  expect(await effectsOf(`zombie ${what}`)).toEqual(['attempt 2']);
  expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', context: { by: 2 } });
  expect((await pastOf(database.pool, run)).slice(1, 5)).toEqual([
    'STARTED one/1',
    'ABANDONED one/1',
    'STARTED one/2',
    'COMPLETED one/2 done>two',
  ]);
});

test('the late effect is also discarded when the run has continued', async () => {
  const { run, first, second, zombie, other } = await takenOver('zombie later', () => undefined);
  const three = { begun: gate(), proceed: gate() };
  script.on('zombie later', 'three', async () => {
    three.begun.resolve();
    await three.proceed.promise;
    return { outcome: 'done' };
  });
  second.proceed.resolve();
  await three.begun.promise;
  first.proceed.resolve();
  await zombie;
  expect(await rowOf(database.pool, run)).toMatchObject({ state: 'three', claimed_by: 'second' });
  three.proceed.resolve();
  await other;
  expect(await effectsOf('zombie later')).toEqual(['attempt 2']);
});

test('the late effect is also discarded when the run was freed and nobody has taken it yet', async () => {
  const run = await start('freed');
  const [inWork, proceed] = [gate(), gate()];
  script.on('freed', 'one', () => async (tx) => {
    await tx.query(`insert into public.effects values ('freed', 'one')`);
    inWork.resolve();
    await proceed.promise;
    return { outcome: 'done' };
  });
  const late = executor.advance(run);
  await inWork.promise;
  await silence(database.pool, 'first');
  await database.pool.query('select workflow.sweep()');
  proceed.resolve();
  await late;
  expect(await effectsOf('freed')).toEqual([]);
  expect(await rowOf(database.pool, run)).toMatchObject({ state: 'one', claimed_by: null, attempt: 1 });
});

test('a run that a living worker has claimed is not taken', async () => {
  const run = await start('held');
  const [inWork, proceed] = [gate(), gate()];
  script.on('held', 'one', async () => {
    inWork.resolve();
    await proceed.promise;
    return { outcome: 'done' };
  });
  const first = executor.advance(run);
  await inWork.promise;
  await (await executorAs('second')).advance(run);
  expect(await rowOf(database.pool, run)).toMatchObject({ state: 'one', claimed_by: 'first', version: 1 });
  proceed.resolve();
  await first;
  expect(script.count('held', 'one')).toBe(1);
});

test('closing a run while its step works discards the step', async () => {
  const run = await start('closed under it');
  script.on('closed under it', 'one', () => async (tx) => {
    await tx.query(`insert into public.effects values ('closed under it', 'x')`);
    await database.pool.query(
      `select workflow.close_run(r, 'TERMINATED') from workflow.runs r where id = $1`,
      [run],
    );
    return { outcome: 'done' };
  });
  await executor.advance(run);
  expect(await effectsOf('closed under it')).toEqual([]);
  expect(await rowOf(database.pool, run)).toMatchObject({ status: 'TERMINATED', state: 'one' });
});

test('what a step writes before its end is discarded once its run was taken over', async () => {
  const run = await start('early');
  const [begun, proceed] = [gate(), gate()];
  script.on('early', 'one', async ({ attempt, fenced }) => {
    if (attempt === 1) {
      begun.resolve();
      await proceed.promise;
    }
    await fenced(async (tx) =>
      tx.query('insert into public.effects values ($1, $2)', ['early', `attempt ${attempt}`]),
    );
    return { outcome: 'done' };
  });
  const zombie = executor.advance(run);
  await begun.promise;
  await silence(database.pool, 'first');
  await (await executorAs('second')).advance(run);
  proceed.resolve();
  await zombie;
  expect(await effectsOf('early')).toEqual(['attempt 2']);
});
