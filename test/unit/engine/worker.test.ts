import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import { anyWorkerAlive } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { gate, pastOf, rowOf, silence, untilAborted, untilStatus } from './support.ts';
import { activities, twoSteps } from './worker-machine.ts';

const engine = useEngine({ databasePer: 'test', machines: [twoSteps], activities });
const { database, script, work } = engine;
const start = async (key: string) => engine.start('two-steps', key);

/** A step that says when it has begun, and ends when the test says so. */
function held(key: string, state = 'one') {
  const [begun, end] = [gate(), gate()];
  script.on(key, state, async () => {
    begun.resolve();
    await end.promise;
    return { outcome: 'done' };
  });
  return { begun: begun.promise, end: end.resolve };
}

describe('stopping', () => {
  test('lets the step in progress end, begins no other, and says so', async () => {
    const first = await work({ concurrency: 1 });
    const step = held('in progress');
    const run = await start('in progress');
    await step.begun;
    const waiting = await start('not begun');
    const stopped = first.stop();
    step.end();
    await stopped;
    await first.ended;
    expect(await rowOf(database.pool, run)).toMatchObject({ state: 'two', claimed_by: null, attempt: 0 });
    expect(script.begun).toEqual(['in progress one 1']);
    expect(await anyWorkerAlive(database.pool)).toBe(false);
    await work();
    for (const each of [run, waiting]) await untilStatus(database.pool, each, 'COMPLETED');
    expect(script.count('in progress', 'one')).toBe(1);
  });

  test('releases a step that takes too long; it uses up no attempt and another worker does it', async () => {
    const first = await work({ drainMs: 50 });
    const inWork = gate();
    let reason: unknown;
    script.on('long', 'one', ({ signal }) => {
      inWork.resolve();
      signal.addEventListener('abort', () => (reason = signal.reason));
      return untilAborted(signal);
    });
    const run = await start('long');
    await inWork.promise;
    await first.stop();
    expect(reason).toMatchObject({ code: 'DV_WORKER_STOPPING' });
    expect(await rowOf(database.pool, run)).toMatchObject({
      state: 'one',
      attempt: 0,
      claimed_by: null,
      error: null,
    });
    script.on('long', 'one', () => ({ outcome: 'done' }));
    await work();
    await untilStatus(database.pool, run, 'COMPLETED', 2000);
    expect((await pastOf(database.pool, run)).slice(1, 5)).toEqual([
      'STARTED one/1',
      'RELEASED one/1',
      'STARTED one/1',
      'COMPLETED one/1 done>two',
    ]);
  });

  test('twice is the same as stopping once', async () => {
    const worker = await work();
    await Promise.all([worker.stop(), worker.stop()]);
    await worker.stop();
  });
});

test('two workers share the runs, and each step runs once', async () => {
  await work({ concurrency: 1 });
  await work({ concurrency: 1 });
  // Neither ends before the other has begun: one worker alone could not finish.
  const pair = [held('left'), held('right')];
  const runs = [await start('left'), await start('right')];
  await Promise.all(pair.map(({ begun }) => begun));
  const more = Array.from({ length: 40 }, (_, n) => `shared ${n}`);
  runs.push(...(await Promise.all(more.map(start))));
  for (const { end } of pair) end();
  for (const run of runs) await untilStatus(database.pool, run, 'COMPLETED');
  const keys = ['left', 'right', ...more];
  expect(script.begun.toSorted()).toEqual(keys.flatMap((key) => [`${key} one 1`, `${key} two 1`]).toSorted());
});

describe('a killed worker', () => {
  let child: ChildProcess;
  const killed = async () => {
    if (child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  afterEach(killed);

  test('is swept: another worker gets its run and its jobs, and the lost attempt stays in the history', async () => {
    const run = await start('lost');
    const file = new URL('./worker-child.ts', import.meta.url).pathname;
    child = spawn(process.execPath, [file, database.url, 'lost'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said = new Set<string>();
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => said.add(line));
    await expect.poll(() => said, { timeout: 20_000 }).toEqual(new Set(['ready', 'in lost']));
    const { claimed_by: dead } = await rowOf(database.pool, run);
    await killed();

    await work();
    const locked = async () =>
      (await database.pool.query('select from graphile_worker.jobs where locked_by is not null')).rowCount;
    expect(await locked()).toBe(1);
    expect((await database.pool.query('select * from workflow.sweep()')).rows).toEqual([]);
    await silence(database.pool, dead ?? '');
    await untilStatus(database.pool, run, 'COMPLETED', 8000);
    expect((await pastOf(database.pool, run)).slice(1, 5)).toEqual([
      'STARTED one/1',
      'ABANDONED one/1',
      'STARTED one/2',
      'COMPLETED one/2 done>two',
    ]);
    await expect.poll(locked).toBe(0);
  });
});
