import { beforeEach, describe, expect, test } from 'vitest';
import { type BeatMessage, SEEN } from '../../../src/engine/heartbeat-shared.ts';
import { startRun, type RunningWorker } from '../../../src/engine/index.ts';
import { startThread } from '../../../src/worker-thread.ts';
import { activities, leaving, steps } from './children-machines.ts';
import { useEngine } from './engine-fixture.ts';
import { captureLog, gate, rowOfKey, untilStatus } from './support.ts';

const { database, script, work } = useEngine({ databasePer: 'test', machines: [steps, leaving], activities });
let worker: RunningWorker;
const { log, text } = captureLog();
beforeEach(async () => {
  worker = await work({ log });
});

const heartbeatConnections = async () =>
  (
    await database.pool.query(
      `select from pg_stat_activity where datname = current_database() and application_name = 'dict-vsync heartbeat'`,
    )
  ).rowCount;
const beatAge = async () => {
  const { rows } = await database.pool.query<{ age: number }>(
    'select extract(epoch from clock_timestamp() - heartbeat_at)::float8 as age from workflow.workers where id = $1',
    [worker.id],
  );
  return rows[0]?.age ?? Infinity;
};

test('it beats while the event loop is busy, so that a comparison or a garbage collection does not look dead', async () => {
  const before = worker.lastHeartbeat();
  // Nothing in this process's main thread runs for longer than the time between two beats.
  const until = performance.now() + 4500;
  while (performance.now() < until);
  expect(worker.lastHeartbeat()).toBeGreaterThan(before + 2000);
  expect(await beatAge()).toBeLessThan(3);
});

test('it beats on a connection of its own, which it replaces', async () => {
  const cutIt = async () => {
    const { rowCount } = await database.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'dict-vsync heartbeat'`,
    );
    return rowCount;
  };
  await expect.poll(cutIt).toBe(1);
  const cut = Date.now();
  await expect.poll(() => worker.lastHeartbeat(), { timeout: 10_000 }).toBeGreaterThan(cut + 500);
});

describe('with a beat the worker learns', () => {
  test('that a run was closed under its step, as a child is by its parent, and it aborts the step', async () => {
    const [inWork, aborted] = [gate(), gate<unknown>()];
    script.on('mother', 'spawn', () => ({
      outcome: 'spawned',
      children: [{ machine: 'steps', key: 'child', input: {}, policy: 'TERMINATE' }],
    }));
    script.on('child', 'one', async ({ signal }) => {
      inWork.resolve();
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      await aborted.promise;
      return { outcome: 'done' };
    });
    const mother = await startRun(database.pool, 'leaving', 'mother', {}, 'test');
    await inWork.promise;
    await untilStatus(database.pool, mother, 'WAITING');
    await database.pool.query(`select workflow.signal($1, 'leave')`, [mother]);
    expect(await aborted.promise).toMatchObject({ code: 'DV_RUN_CANCELLED' });
    expect((await rowOfKey(database.pool, 'child')).status).toBe('TERMINATED');
  });
});

test('the thread stops beating for a main thread that hangs, until that runs again', async () => {
  const shared = new SharedArrayBuffer(16);
  const seen = new BigInt64Array(shared);
  const lastSeen = (secondsAgo: bigint) =>
    Atomics.store(seen, SEEN.main, process.hrtime.bigint() - secondsAgo * 1_000_000_000n);
  lastSeen(31n);
  const thread = startThread(
    'heartbeat-worker',
    () => new URL('../../../src/engine/heartbeat-worker.ts', import.meta.url),
    { connectionString: database.url, workerId: 'hangs', pools: [], shared },
  );
  try {
    const said: string[] = [];
    thread.on('message', ({ kind }: BeatMessage) => said.push(kind));
    await expect.poll(() => said).toEqual(['stuck']);
    lastSeen(0n);
    await expect.poll(() => said).toEqual(['stuck', 'beat']);
    const { rows } = await database.pool.query(`select workflow.is_alive('hangs') as alive`);
    expect(rows).toEqual([{ alive: true }]);
  } finally {
    await thread.terminate();
  }
});

test('a worker that could not begin does not look alive', async () => {
  await worker.stop();
  const unlucky = {
    name: 'unlucky',
    task: 'unlucky',
    timeZone: 'UTC',
    ticks: () => {
      throw new Error('at the worst moment');
    },
  };
  const begun = work({
    schedules: [unlucky],
    ticks: { unlucky: async () => undefined },
  });
  await expect(begun).rejects.toThrow('at the worst moment');
  // When a later one has beaten twice, this one would have, too.
  worker = await work();
  const first = worker.lastHeartbeat();
  await expect.poll(() => worker.lastHeartbeat()).toBeGreaterThan(first + 1500);
  expect(await heartbeatConnections()).toBe(1);
});

test('its thread ends with it, and leaves no sign of life behind', async () => {
  await worker.stop();
  const { rows } = await database.pool.query(
    `select stopped_at is not null as stopped from workflow.workers where id = $1`,
    [worker.id],
  );
  expect(rows).toEqual([{ stopped: true }]);
  await expect.poll(heartbeatConnections).toBe(0);
  expect(text()).not.toContain('heartbeat thread failed');
});
