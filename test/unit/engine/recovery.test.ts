import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { anyWorkerAlive, startRunIn, type RunningWorker } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { pastOf, rowOf, silence, untilStatus } from './support.ts';
import { activities, twoSteps } from './worker-machine.ts';

const engine = useEngine({ machines: [twoSteps], activities });
const { database, script, executorAs, work } = engine;
const start = async (key: string) => engine.start('two-steps', key);
const sweep = async () => (await database.pool.query('select * from workflow.sweep()')).rows as unknown[];
const claim = async (run: string, worker: string) =>
  database.pool.query('select workflow.claim($1, $2)', [run, worker]);
const jobsOf = async (run: string) => {
  const { rows } = await database.pool.query<{ attempts: number; due: boolean; locked: boolean }>(
    `select attempts, run_at <= clock_timestamp() as due, locked_at is not null as locked
     from graphile_worker.jobs where key = 'run:' || $1`,
    [run],
  );
  return rows;
};

describe('the sweep', () => {
  beforeEach(async () => {
    await database.pool.query(`select workflow.cancel(id) from workflow.runs where closed_at is null`);
    await database.pool.query(`delete from graphile_worker._private_jobs`);
  });
  const FRESH = [{ attempts: 0, due: true, locked: false }];

  test.each([
    ['none', 'delete from graphile_worker._private_jobs'],
    ['one that Graphile Worker gave up', 'update graphile_worker._private_jobs set attempts = max_attempts'],
    [
      'one that Graphile Worker puts off for an hour',
      `update graphile_worker._private_jobs set attempts = 9, run_at = now() + interval '1 hour'`,
    ],
  ])('it gives a new job to a due run that has no usable one: %s', async (what, lose) => {
    const run = await start(what);
    await database.pool.query(lose);
    expect(await sweep()).toEqual([]);
    await advanceClockOnly('6 seconds');
    expect(await sweep()).toEqual([{ run_id: run, what: 'without job' }]);
    expect(await jobsOf(run)).toEqual(FRESH);
    expect(await sweep()).toEqual([]);
  });

  test('it leaves alone a job that has not begun, one in progress, and a run that is not due yet', async () => {
    await start('queued');
    const locked = await start('being done');
    await database.pool.query(
      `update graphile_worker._private_jobs set locked_at = now(), locked_by = 'p' where key = 'run:' || $1`,
      [locked],
    );
    await start('not due');
    await database.pool.query(
      `update workflow.runs set wake_at = workflow.now() + interval '1 hour' where workflow_key = 'not due'`,
    );
    await database.pool.query(`delete from graphile_worker._private_jobs where run_at > now()`);
    await advanceClockOnly('6 seconds');
    expect(await sweep()).toEqual([]);
  });

  test('it gives a new job to a due run whose job has long been locked while nobody works on it', async () => {
    const lock = `update graphile_worker._private_jobs
      set locked_at = clock_timestamp() - $2::interval, locked_by = 'p' where key = 'run:' || $1`;
    const [lost, fresh, claimed] = [await start('lost'), await start('fetched now'), await start('claimed')];
    await database.pool.query(lock, [lost, '11 seconds']);
    await database.pool.query(lock, [fresh, '9 seconds']);
    await database.pool.query(lock, [claimed, '1 hour']);
    await database.pool.query(`select workflow.heartbeat('busy', '{p}')`);
    await claim(claimed, 'busy');
    expect(await sweep()).toEqual([]);
    await advanceClockOnly('6 seconds');
    expect(await sweep()).toEqual([{ run_id: lost, what: 'without job' }]);
    expect(await jobsOf(lost)).toEqual(FRESH);
    expect(await sweep()).toEqual([]);
  });

  test('it unlocks the jobs of a silent worker', async () => {
    const run = await start('locked');
    await database.pool.query(`select workflow.heartbeat('silent', array['pool-of-silent'])`);
    await database.pool.query(
      `update graphile_worker._private_jobs set locked_at = now(), locked_by = 'pool-of-silent', attempts = 1`,
    );
    await sweep();
    expect(await jobsOf(run)).toEqual([{ attempts: 1, due: true, locked: true }]);
    await silence(database.pool, 'silent');
    await sweep();
    expect(await jobsOf(run)).toEqual([{ attempts: 1, due: true, locked: false }]);
  });

  test('it is not needed for a step that lost its database; that uses up no attempt, as often as it happens', async () => {
    const executor = await executorAs('cut off');
    let cuts = 0;
    script.on('flapping', 'one', () => async (tx) => {
      cuts += 1;
      if (cuts <= 7) await tx.query('select pg_terminate_backend(pg_backend_pid())');
      return { outcome: 'done' };
    });
    const run = await start('flapping');
    for (let round = 1; round <= 7; round += 1) {
      await executor.advance(run);
      expect(await rowOf(database.pool, run)).toMatchObject({
        ...{ state: 'one', attempt: 0, claimed_by: null, error: { code: 'DV_DATABASE_UNREACHABLE' } },
      });
      await database.pool.query(`select workflow.advance_clock('3 seconds')`);
    }
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });

  test('it takes nothing from a worker that was silent for a while and is back', async () => {
    const run = await start('back');
    await database.pool.query(`select workflow.heartbeat('returning', '{}')`);
    await silence(database.pool, 'returning');
    await sweep();
    await database.pool.query(`select workflow.heartbeat('returning', '{}')`);
    await claim(run, 'returning');
    expect(await sweep()).toEqual([]);
    expect(await rowOf(database.pool, run)).toMatchObject({ claimed_by: 'returning' });
    expect(await anyWorkerAlive(database.pool)).toBe(true);
  });

  test('it closes the run of a dead worker that somebody had cancelled', async () => {
    const run = await start('cancelled');
    await database.pool.query(`select workflow.heartbeat('dying', '{}')`);
    await claim(run, 'dying');
    await database.pool.query('select workflow.cancel($1)', [run]);
    await silence(database.pool, 'dying');
    await sweep();
    expect((await rowOf(database.pool, run)).status).toBe('CANCELLED');
  });

  /** Moves the clock without the timers: as if the jobs had been lost in that time. */
  async function advanceClockOnly(by: string): Promise<void> {
    await database.pool.query('update workflow.clock set offset_by = offset_by + $1::interval', [by]);
  }
});

describe('a worker', () => {
  let worker: RunningWorker | undefined;
  afterEach(async () => worker?.stop());

  test('it releases a step when the answer of its claim got lost', async () => {
    worker = await work();
    const run = await start('claim lost');
    await untilStatus(database.pool, run, 'COMPLETED');
    const client = await database.pool.connect();
    let lost = '';
    try {
      await client.query('begin');
      lost = await startRunIn(client, 'two-steps', 'never answered', {}, 'test');
      await client.query('select workflow.claim($1, $2)', [lost, worker.id]);
      await client.query(`delete from graphile_worker._private_jobs where payload ->> 'run' = $1`, [lost]);
      await client.query('commit');
    } finally {
      client.release();
    }
    await untilStatus(database.pool, lost, 'COMPLETED', 10_000);
    expect((await pastOf(database.pool, lost)).slice(1, 4)).toEqual([
      'STARTED one/1',
      'RELEASED one/1',
      'STARTED one/1',
    ]);
  });

  test('it continues when all its connections are cut', async () => {
    worker = await work();
    let cut = false;
    script.on('cut', 'one', () => async (tx) => {
      if (!cut) {
        cut = true;
        await tx.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
        );
        await tx.query('select pg_terminate_backend(pg_backend_pid())');
      }
      return { outcome: 'done' };
    });
    const run = await start('cut');
    await expect
      .poll(async () => rowOf(database.pool, run).catch(() => undefined), { interval: 20, timeout: 15_000 })
      .toMatchObject({ status: 'COMPLETED' });
  });
});
