import { afterEach, beforeEach, expect, test } from 'vitest';
import { machineOver, type RunningWorker, startRun } from '../../../src/engine/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { Script, scripted } from './script.ts';
import { gate, pastOf, rowOf, untilStatus, workerOf } from './support.ts';

// A program and its next release, side by side on one database.
const older = { work: scripted<'done'>('done'), more: scripted<'done'>('done') };
const newer = { ...older, extra: scripted<'done'>('done') };
const first = machineOver<typeof older>()({
  name: 'released',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two' } },
    two: { kind: 'activity', task: 'more', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});
const second = machineOver<typeof newer>()({
  name: 'released',
  version: 2,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two' } },
    two: { kind: 'activity', task: 'more', on: { done: 'three' } },
    three: { kind: 'activity', task: 'extra', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});

const database = useTestDatabase('test');
const script = new Script();
const workers: RunningWorker[] = [];
beforeEach(() => script.clear());
afterEach(async () => Promise.all(workers.splice(0).map(async (worker) => worker.stop())));

async function work(release: 'old' | 'new'): Promise<RunningWorker> {
  const program =
    release === 'old' ? { machines: [first], activities: older } : { machines: [second], activities: newer };
  const worker = await workerOf({ pool: database.pool, ...program }, script);
  workers.push(worker);
  return worker;
}
const start = async (key: string) => startRun(database.pool, 'released', key, {}, 'test');
const states = async (run: string) =>
  (await pastOf(database.pool, run)).filter((event) => event.startsWith('COMPLETED'));

test('a run finishes on the version it began with, even when only the next release is there', async () => {
  const old = await work('old');
  const [begun, end] = [gate(), gate()];
  script.on('open', 'one', async () => {
    begun.resolve();
    await end.promise;
    return { outcome: 'done' };
  });
  const run = await start('open');
  await begun.promise;
  await work('new');
  const stopped = old.stop();
  end.resolve();
  await stopped;
  await untilStatus(database.pool, run, 'COMPLETED');
  expect(await states(run)).toEqual(['COMPLETED one/1 done>two', 'COMPLETED two/1 done>end']);
});

test('workers of the old release leave the runs of the next one to it; none fails, and no attempt is used up', async () => {
  const [old, next] = [await work('old'), await work('new')];
  const keys = Array.from({ length: 12 }, (_, n) => `new ${n}`);
  const runs = await Promise.all(keys.map(start));
  for (const run of runs) {
    await untilStatus(database.pool, run, 'COMPLETED');
    expect(await states(run)).toEqual([
      'COMPLETED one/1 done>two',
      'COMPLETED two/1 done>three',
      'COMPLETED three/1 done>end',
    ]);
  }
  const { rows } = await database.pool.query<{ worker: string }>(
    `select distinct worker from workflow.history where event = 'COMPLETED'`,
  );
  expect(rows).toEqual([{ worker: next.id }]);
  expect(old.id).not.toBe(next.id);
});

test('with only the old release there, such a run waits, and does not loop', async () => {
  const next = await work('new');
  await next.stop();
  await work('old');
  const run = await start('waiting');
  const job = async () =>
    (
      await database.pool.query<{ task: string; locked: boolean }>(
        `select task_identifier as task, locked_at is not null as locked from graphile_worker.jobs where key = $1`,
        [`run:${run}`],
      )
    ).rows;
  await expect.poll(job).toEqual([{ task: 'machine:released:2', locked: false }]);
  // Another job gets its turn, so this one had its own.
  const other = await startRun(database.pool, 'released', 'waiting too', {}, 'test');
  await expect.poll(async () => (await pastOf(database.pool, other)).length).toBe(3);
  expect(await pastOf(database.pool, run)).toEqual(['CREATED one/0', 'STARTED one/1', 'RELEASED one/1']);
  expect(await rowOf(database.pool, run)).toMatchObject({ status: 'RUNNING', attempt: 0, claimed_by: null });
  await work('new');
  await untilStatus(database.pool, run, 'COMPLETED');
});
