import { beforeEach, describe, expect, test } from 'vitest';
import { machineOver } from '../../../src/engine/index.ts';
import { activities, parent, steps } from './children-machines.ts';
import { useEngine } from './engine-fixture.ts';
import { pastOf, rowOf, rowOfKey } from './support.ts';

const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
const waiting = machineOf({
  name: 'waiting',
  version: 1,
  initial: 'wait',
  states: {
    wait: { kind: 'wait', signals: ['go'], deadlineMs: 3_600_000, on: { go: 'one', timeout: 'late' } },
    one: { kind: 'activity', task: 'work', on: { done: 'end' } },
    end,
    late: { kind: 'terminal', closesAs: 'REJECTED' },
  },
});

// The tests make what the sweep must find and repair by removing what would have moved a run.
const { database, script, executorAs, start } = useEngine({
  databasePer: 'test',
  machines: [steps, waiting, parent],
  activities,
});
const sql = async (text: string, values: unknown[] = []) => database.pool.query(text, values);
const sweep = async () => (await sql('select * from workflow.sweep()')).rows as unknown[];
/** Moves the clock without the timers. */
const pass = async (by: string) =>
  sql('update workflow.clock set offset_by = offset_by + $1::interval', [by]);
const advance = async (run: string) => (await executorAs('w')).advance(run);
const jobKeys = async () =>
  (await sql('select key from graphile_worker.jobs order by key')).rows.map(
    ({ key }: { key: string }) => key,
  );

beforeEach(async () => executorAs('w'));

describe('an open run that nothing would move', () => {
  test('waits for a signal that is there', async () => {
    const run = await start('waiting', 'signal');
    await sql(
      `insert into workflow.signals (run_id, name, sent_by, sent_at) values ($1, 'go', 'test', workflow.now())`,
      [run],
    );
    expect(await sweep()).toEqual([]);
    await pass('6 seconds');
    expect(await sweep()).toEqual([{ run_id: run, what: 'not woken' }]);
    expect(await sweep()).toEqual([]);
    await advance(run);
    expect(await pastOf(database.pool, run)).toContain('WOKEN wait/0 go>one');
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED' });
  });

  test('waits for children that have all ended', async () => {
    script.on('mother', 'spawn', () => ({
      outcome: 'spawned',
      children: [{ machine: 'steps', key: 'child', input: {} }],
    }));
    const run = await start('parent', 'mother');
    await advance(run);
    const { id: child } = await rowOfKey(database.pool, 'child');
    await pass('6 seconds');
    await sql('delete from graphile_worker._private_jobs');
    expect(await sweep()).toEqual([{ run_id: child, what: 'without job' }]);
    await advance(child);
    expect(await jobKeys()).toContain(`children:${run}`);
    await sql('delete from graphile_worker._private_jobs');
    expect(await sweep()).toEqual([]);
    await pass('6 seconds');
    expect(await sweep()).toEqual([{ run_id: run, what: 'not woken' }]);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED' });
  });

  test('is past its deadline, and its timer is gone', async () => {
    const run = await start('waiting', 'late');
    await sql('delete from graphile_worker._private_jobs');
    await pass('2 hours');
    expect(await sweep()).toEqual([{ run_id: run, what: 'without job' }]);
    await advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'REJECTED' });
  });

  test.each([
    ['steps', 'COMPLETED'],
    ['waiting', 'REJECTED'],
  ])('has no time set (%s), as after a manual change in the tables', async (machine, status) => {
    const run = await start(machine, 'handled');
    await sql('update workflow.runs set wake_at = null where id = $1', [run]);
    await sql('delete from graphile_worker._private_jobs');
    expect(await sweep()).toEqual([]);
    await pass('6 seconds');
    expect(await sweep()).toEqual([{ run_id: run, what: 'not scheduled' }]);
    await pass('2 hours');
    await advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status });
  });

  test('has a job that a living worker locked, and forgot', async () => {
    const run = await start('steps', 'forgotten');
    await sql(`select workflow.heartbeat('w', array['pool'])`);
    await sql(
      `update graphile_worker._private_jobs set locked_by = 'pool', locked_at = now() - interval '5 seconds'`,
    );
    await pass('6 seconds');
    expect(await sweep()).toEqual([]);
    await sql(`update graphile_worker._private_jobs set locked_at = now() - interval '11 seconds'`);
    expect(await sweep()).toEqual([{ run_id: run, what: 'without job' }]);
    const { rows } = await sql(`select locked_by from graphile_worker.jobs where key = 'run:' || $1`, [run]);
    expect(rows).toEqual([{ locked_by: null }]);
  });
});

test('a job locked by no living worker is unlocked, after the time a new worker needs to register', async () => {
  await start('steps', 'locked');
  const lock = async (ago: string) =>
    sql(
      `update graphile_worker._private_jobs set locked_by = 'unheard of', locked_at = now() - $1::interval`,
      [ago],
    );
  const locked = async () =>
    (await sql('select from graphile_worker.jobs where locked_by is not null')).rowCount;
  await lock('5 seconds');
  await sweep();
  expect(await locked()).toBe(1);
  await lock('11 seconds');
  await sweep();
  expect(await locked()).toBe(0);
});

test('a run that cannot be repaired does not prevent the repair of the others', async () => {
  const broken = await start('waiting', 'broken');
  const whole = await start('steps', 'whole');
  await sql(
    `insert into workflow.signals (run_id, name, sent_by, sent_at) values ($1, 'go', 'test', workflow.now())`,
    [broken],
  );
  await sql(`delete from workflow.transitions where machine = 'waiting' and outcome = 'go'`);
  await sql('delete from graphile_worker._private_jobs');
  await pass('6 seconds');
  expect(await sweep()).toEqual([
    { run_id: broken, what: 'not repaired' },
    { run_id: whole, what: 'without job' },
  ]);
});

test('a job that was replaced while a dead worker had it locked is removed', async () => {
  const run = await start('steps', 'replaced');
  await sql(
    `update graphile_worker._private_jobs set locked_by = 'dead', locked_at = now() - interval '11 seconds'`,
  );
  await sql(`select workflow.add_job($1, 'work', workflow.now())`, [run]);
  expect((await sql('select from graphile_worker.jobs')).rowCount).toBe(2);
  expect(await sweep()).toEqual([]);
  expect((await sql('select from graphile_worker.jobs')).rowCount).toBe(1);
  expect(await jobKeys()).toEqual([`run:${run}`]);
});

test('timers of closed runs are removed', async () => {
  const run = await start('waiting', 'cancelled');
  await sql('select workflow.cancel($1)', [run]);
  expect(await jobKeys()).toEqual([`run:${run}`]);
  await pass('6 seconds');
  expect(await sweep()).toEqual([]);
  expect(await jobKeys()).toEqual([]);
});

test('a heartbeat from the future, sent before the clock was set back, does not count', async () => {
  const run = await start('steps', 'held');
  await sql(`select workflow.heartbeat('ahead', '{}')`);
  await sql(`select workflow.claim($1, 'ahead')`, [run]);
  expect(await sweep()).toEqual([]);
  await sql(`update workflow.workers set heartbeat_at = now() + interval '1 hour' where id = 'ahead'`);
  expect(await sweep()).toEqual([{ run_id: run, what: 'abandoned' }]);
});
