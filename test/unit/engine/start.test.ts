import { beforeAll, expect, test } from 'vitest';
import { cancelRun, findRun, machineOver, startRun, storeMachines } from '../../../src/engine/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { scripted } from './script.ts';
import { pastOf, rowOf } from './support.ts';

const activities = { work: scripted<'done'>('done') };
const one = machineOver<typeof activities>()({
  name: 'one',
  version: 1,
  initial: 'work',
  states: {
    work: { kind: 'activity', task: 'work', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});

const database = useTestDatabase();
beforeAll(async () => storeMachines(database.pool, [one, { ...one, version: 2 }]));

async function runsAndJobs(key: string): Promise<{ runs: number; jobs: number }> {
  const { rows } = await database.pool.query<{ runs: number; jobs: number }>(
    `select count(*)::integer as runs, count(j.id)::integer as jobs from workflow.runs r
     left join graphile_worker.jobs j on j.key = 'run:' || r.id where r.workflow_key = $1`,
    [key],
  );
  return rows[0] ?? { runs: -1, jobs: -1 };
}

test('a start keeps the input, begins in the newest version, and adds one job named after the activity', async () => {
  const id = await startRun(database.pool, 'one', 'kept', { n: 1, nested: { é: ['x'] } }, 'ana');
  expect(await rowOf(database.pool, id)).toMatchObject({
    ...{ machine: 'one', machine_version: 2, workflow_key: 'kept', state: 'work', status: 'PENDING' },
    ...{ attempt: 0, input: { n: 1, nested: { é: ['x'] } }, started_by: 'ana', parent_id: null },
  });
  expect(await pastOf(database.pool, id)).toEqual(['CREATED work/0']);
  const { rows } = await database.pool.query<{ task_identifier: string }>(
    `select task_identifier from graphile_worker.jobs where key = 'run:' || $1`,
    [id],
  );
  expect(rows).toEqual([{ task_identifier: 'work' }]);
});

test('a run started twice, even simultaneously from ten connections, is started once', async () => {
  const start = async (n: number) => startRun(database.pool, 'one', 'once', { n }, 'test');
  const ids = await Promise.all(Array.from({ length: 10 }, async (_, n) => start(n)));
  expect(new Set(ids).size).toBe(1);
  expect(await start(11)).toBe(ids[0]);
  expect(await runsAndJobs('once')).toEqual({ runs: 1, jobs: 1 });
});

test('a rollback starts nothing', async () => {
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    await client.query(`select workflow.start_run('one', 'rolled back')`);
    await client.query('rollback');
  } finally {
    client.release();
  }
  expect(await runsAndJobs('rolled back')).toEqual({ runs: 0, jobs: 0 });
});

test('a start waits for an uncommitted one, and starts itself when that one rolls back', async () => {
  const client = await database.pool.connect();
  let second: Promise<string>;
  try {
    await client.query('begin');
    await client.query(`select workflow.start_run('one', 'overtaken')`);
    second = startRun(database.pool, 'one', 'overtaken', {}, 'second');
    await client.query('rollback');
  } finally {
    client.release();
  }
  expect(await rowOf(database.pool, await second)).toMatchObject({ started_by: 'second' });
  expect(await runsAndJobs('overtaken')).toEqual({ runs: 1, jobs: 1 });
});

test('after a run has closed its key is free again, and names the open one', async () => {
  const first = await startRun(database.pool, 'one', 'again', {}, 'test');
  await cancelRun(database.pool, first, 'test', null);
  expect(await findRun(database.pool, 'again')).toBe(first);
  const second = await startRun(database.pool, 'one', 'again', {}, 'test');
  expect(second).not.toBe(first);
  expect(await findRun(database.pool, 'again')).toBe(second);
  expect(await findRun(database.pool, first.toUpperCase())).toBe(first);
});

test('starting what does not exist is refused with a code', async () => {
  await expect(startRun(database.pool, 'none', 'k', {}, 'test')).rejects.toMatchObject({
    code: 'DV_MACHINE_UNKNOWN',
    class: 'not_retryable',
  });
  await expect(findRun(database.pool, 'no such key')).rejects.toMatchObject({ code: 'DV_RUN_NOT_FOUND' });
  await expect(findRun(database.pool, '00000000-0000-7000-8000-000000000000')).rejects.toMatchObject({
    code: 'DV_RUN_NOT_FOUND',
  });
});
