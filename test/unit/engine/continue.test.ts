import { expect, test } from 'vitest';
import { cancelRun, historyOf, machineOver, signalRun, startRun } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { rowOf, rowOfKey } from './support.ts';

const activities = { count: scripted<'more' | 'renew'>('more') };
const machineOf = machineOver<typeof activities>();
const continued = { kind: 'terminal', closesAs: 'CONTINUED' } as const;
const ticker = machineOf({
  name: 'ticker',
  version: 1,
  initial: 'waiting',
  states: {
    waiting: { kind: 'wait', signals: ['tick'], on: { tick: 'count' } },
    count: { kind: 'spawn', task: 'count', on: { more: 'waiting', renew: 'continued' } },
    continued,
  },
});
/** Continues from its wait itself: no step decides. */
const relay = machineOf({
  name: 'relay',
  version: 1,
  initial: 'waiting',
  states: { waiting: { kind: 'wait', signals: ['tick'], on: { tick: 'continued' } }, continued },
});

const { database, script, executor } = useEngine({ machines: [ticker, relay], activities });
const tick = async (run: string, n: number) => signalRun(database.pool, run, 'tick', { n }, 'test');

/** Counts ticks and renews itself with every `every`-th; the input says how many there were in total. */
function countTicks(key: string, every: number): number[] {
  const seen: number[] = [];
  script.on(key, 'count', ({ run: { input, context } }) => {
    const counted = Number(context['counted'] ?? 0) + 1;
    const { payload } = context['signal'] as { payload: { n: number } };
    seen.push(payload.n);
    return {
      outcome: counted < every ? 'more' : 'renew',
      context: { counted },
      continueAsNew: { all: Number(input['all'] ?? 0) + counted },
    };
  });
  return seen;
}

test('the old run closes CONTINUED, a fresh one has its key, the new input and no past', async () => {
  countTicks('renewed', 2);
  const old = await startRun(database.pool, 'ticker', 'renewed', {}, 'ana');
  for (const n of [1, 2]) {
    await tick(old, n);
    await executor.advance(old);
  }
  const closed = await rowOf(database.pool, old);
  expect(closed).toMatchObject({ status: 'CONTINUED', state: 'continued', input: {} });
  const fresh = await rowOfKey(database.pool, 'renewed');
  expect(fresh).toMatchObject({
    ...{ status: 'WAITING', state: 'waiting', continued_from: old, input: { all: 2 }, context: {} },
    ...{
      started_by: 'ana',
      correlation_id: (closed as unknown as { correlation_id: string }).correlation_id,
    },
  });
  expect(await historyOf(database.pool, fresh.id)).toMatchObject([
    { event: 'CREATED' },
    { event: 'WAITING' },
  ]);
});

test('signals that nobody has taken yet move to the fresh run, which continues with them immediately', async () => {
  const seen = countTicks('moved', 2);
  const old = await startRun(database.pool, 'ticker', 'moved', {}, 'test');
  for (const n of [1, 2, 3, 4, 5]) await tick(old, n);
  await executor.advance(old);
  const second = await rowOfKey(database.pool, 'moved');
  expect(second).toMatchObject({ continued_from: old, state: 'count', input: { all: 2 } });
  await executor.advance(second.id);
  const third = await rowOfKey(database.pool, 'moved');
  await executor.advance(third.id);
  expect(seen).toEqual([1, 2, 3, 4, 5]);
  expect(await rowOfKey(database.pool, 'moved')).toMatchObject({
    ...{
      id: third.id,
      continued_from: second.id,
      status: 'WAITING',
      context: { counted: 1 },
      input: { all: 4 },
    },
  });
});

test('a chain of many runs keeps one open and loses no tick', async () => {
  const seen = countTicks('chain', 3);
  await startRun(database.pool, 'ticker', 'chain', {}, 'test');
  for (let n = 0; n < 60; n++) {
    const { id } = await rowOfKey(database.pool, 'chain');
    await tick(id, n);
    await executor.advance(id);
  }
  expect(seen).toEqual(Array.from({ length: 60 }, (_, n) => n));
  const { rows } = await database.pool.query(
    `with recursive chain (id, status, continued_from, length) as (
       select id, status, continued_from, 1 from workflow.runs where workflow_key = 'chain' and closed_at is null
       union all
       select r.id, r.status, r.continued_from, length + 1 from workflow.runs r join chain c on r.id = c.continued_from)
     select count(*)::integer as runs, count(*) filter (where status = 'CONTINUED')::integer as continued from chain`,
  );
  expect(rows).toEqual([{ runs: 21, continued: 20 }]);
  expect((await rowOfKey(database.pool, 'chain')).input).toEqual({ all: 60 });
});

test('a wait that itself leads to the end continues too, with the old input', async () => {
  const old = await startRun(database.pool, 'relay', 'relayed', { n: 1 }, 'test');
  await tick(old, 1);
  expect((await rowOf(database.pool, old)).status).toBe('CONTINUED');
  const fresh = await rowOfKey(database.pool, 'relayed');
  expect(fresh).toMatchObject({ status: 'WAITING', continued_from: old, input: { n: 1 } });
});

test('a child stays the child of its parent', async () => {
  countTicks('child', 1);
  const parent = await startRun(database.pool, 'ticker', 'parent', {}, 'test');
  const { rows } = await database.pool.query<{ id: string }>(
    `select workflow.start_run('ticker', 'child', '{}', 'test', null, $1, 'TERMINATE') as id`,
    [parent],
  );
  const old = rows[0]?.id ?? '';
  await tick(old, 1);
  await executor.advance(old);
  const fresh = await rowOfKey(database.pool, 'child');
  expect(fresh).toMatchObject({ continued_from: old, parent_id: parent });
  await cancelRun(database.pool, parent, 'test', null);
  expect((await rowOf(database.pool, fresh.id)).status).toBe('TERMINATED');
});

test('a run cancelled during the step that would renew it is not continued', async () => {
  const run = await startRun(database.pool, 'ticker', 'cancelled', {}, 'test');
  script.on('cancelled', 'count', async () => {
    expect(await cancelRun(database.pool, run, 'test', null)).toBe('CANCEL_REQUESTED');
    return { outcome: 'renew' };
  });
  await tick(run, 1);
  await executor.advance(run);
  expect(await rowOfKey(database.pool, 'cancelled')).toMatchObject({ id: run, status: 'CANCELLED' });
});
