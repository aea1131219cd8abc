import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { machineOver, startRun, startRuns } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { gate, pastOf, rowOf, silence, untilStatus } from './support.ts';

const activities = {
  work: scripted<'done' | 'skip' | 'refused' | 'stopped'>('done'),
  look: scripted<'pending' | 'done'>('done'),
};
const fork = machineOver<typeof activities>()({
  name: 'fork',
  version: 1,
  initial: 'one',
  states: {
    one: {
      kind: 'activity',
      task: 'work',
      on: { done: 'two', skip: 'end', refused: 'rejected', stopped: 'failed' },
    },
    two: {
      kind: 'poll',
      task: 'look',
      poll: { initialMs: 1000, backoff: 1, maxMs: 1000 },
      deadlineMs: 60_000,
      on: { done: 'end', timeout: 'failed' },
    },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
    rejected: { kind: 'terminal', closesAs: 'REJECTED' },
    failed: { kind: 'terminal', closesAs: 'FAILED' },
  },
});
const waits = machineOver<typeof activities>()({
  name: 'waits',
  version: 1,
  initial: 'waiting',
  states: {
    waiting: { kind: 'wait', signals: ['go'], on: { go: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});

const engine = useEngine({ executorId: 'first', machines: [fork, waits], activities });
const { database, script, executor, executorAs, work } = engine;
let started = 0;
const start = async (n: number) =>
  Promise.all(
    Array.from({ length: n }, async () => startRun(database.pool, 'fork', `run ${++started}`, {}, 'test')),
  );
const keyOf = async (run: string) => (await rowOf(database.pool, run)).workflow_key;
beforeEach(() => script.clear());

const ALL = [
  'CREATED one/0',
  'STARTED one/1',
  'COMPLETED one/1 done>two',
  'STARTED two/1',
  'COMPLETED two/1 done>end',
  'CLOSED end/0 COMPLETED',
];

describe('runs that move at the same moment', () => {
  test('share statements, and each has the history it would have alone', async () => {
    const runs = await start(20);
    let statements = 0;
    const count = () => (statements += 1);
    database.pool.on('acquire', count);
    await Promise.all(runs.map(async (run) => executor.advance(run)));
    database.pool.off('acquire', count);
    // A claim and two completions each would be 60.
    expect(statements).toBeLessThan(20);
    for (const run of runs) {
      expect(await pastOf(database.pool, run)).toEqual(ALL);
      expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', version: 2 });
    }
  });

  test('do not fail because of one whose result Postgres refuses', async () => {
    const runs = await start(5);
    const bad = runs[2]!;
    // jsonb takes no NUL.
    script.on(await keyOf(bad), 'one', () => ({ outcome: 'done', context: { text: '\u0000' } }));
    await Promise.all(runs.map(async (run) => executor.advance(run)));
    for (const run of runs.filter((each) => each !== bad)) {
      expect(await pastOf(database.pool, run)).toEqual(ALL);
    }
    expect(await pastOf(database.pool, bad)).toEqual([...ALL.slice(0, 2), 'FAILED one/1 retry']);
    expect(await rowOf(database.pool, bad)).toMatchObject({ attempt: 1, context: {}, claimed_by: null });
  });

  test('do not wait for one whose row somebody has locked', async () => {
    const runs = await start(3);
    const held = runs[0]!;
    const [begun, proceed] = [gate(), gate()];
    for (const run of runs) {
      script.on(await keyOf(run), 'one', async () => {
        if (run === held) begun.resolve();
        await proceed.promise;
        return { outcome: 'done' };
      });
    }
    const advanced = runs.map(async (run) => executor.advance(run));
    await begun.promise;
    const client = await database.pool.connect();
    await client.query('begin');
    await client.query('select from workflow.runs where id = $1 for update', [held]);
    proceed.resolve();
    await Promise.all(advanced.slice(1));
    expect(await rowOf(database.pool, held)).toMatchObject({ state: 'one', version: 1 });
    await client.query('rollback');
    client.release();
    await advanced[0];
    for (const run of runs) expect(await pastOf(database.pool, run)).toEqual(ALL);
  });

  test('do not include a zombie among them: it writes nothing, the others do', async () => {
    const runs = await start(3);
    const lost = runs[1]!;
    const begun = gate();
    const proceed = gate();
    for (const run of runs) {
      script.on(await keyOf(run), 'one', async ({ attempt }) => {
        if (attempt > 1) return { outcome: 'skip', context: { by: 'second' } };
        if (run === lost) begun.resolve();
        await proceed.promise;
        return { outcome: 'done', context: { by: 'first' } };
      });
    }
    const advanced = runs.map(async (run) => executor.advance(run));
    await begun.promise;
    await silence(database.pool, 'first');
    await (await executorAs('second')).advance(lost);
    const taken = await rowOf(database.pool, lost);
    proceed.resolve();
    await Promise.all(advanced);
    expect(taken).toMatchObject({ status: 'COMPLETED', context: { by: 'second' } });
    expect(await rowOf(database.pool, lost)).toEqual(taken);
    for (const run of [runs[0]!, runs[2]!]) expect(await pastOf(database.pool, run)).toEqual(ALL);
  });
});

test('a step ends the same by whichever statement it is written', async () => {
  const json = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom(1, 'x', null, { d: [] }), {
    maxKeys: 3,
  });
  const result = fc.record(
    {
      outcome: fc.constantFrom('done', 'skip', 'refused', 'stopped'),
      context: json,
      detail: json,
      error: fc.constant({ code: 'DV_DICT_FORBIDDEN', class: 'not_retryable', message: 'On purpose.' }),
    },
    { requiredKeys: ['outcome'] },
  );
  await fc.assert(
    fc.asyncProperty(result, fc.boolean(), fc.boolean(), async (ended, stay, failedBefore) => {
      const ends: unknown[] = [];
      // Children, even an empty list, are left to the statement that can do everything.
      for (const written of [ended, { ...ended, children: [] }]) {
        const run = (await start(1))[0]!;
        await database.pool.query('select workflow.claim($1, $2)', [run, 'first']);
        if (failedBefore) {
          await database.pool.query(
            `update workflow.runs set error = '{"code": "DV_EARLIER"}', failed_state = 'one' where id = $1`,
            [run],
          );
        }
        const { rows } = await database.pool.query<{ next: object | null }>(
          'select workflow.complete_step($1, 1, $2, $3, $4) as next',
          [run, 'first', JSON.stringify(written), stay],
        );
        const { id: _id, workflow_key: _key, wakes_in: _wakes, ...row } = await rowOf(database.pool, run);
        const { rows: times } = await database.pool.query(
          `select deadline - entered_at as patience, closed_at = updated_at as closed_now, claimed_at = updated_at as claimed_now, wake_at is null as asleep,
             (select count(*)::integer from graphile_worker.jobs where key = 'run:' || r.id and locked_at is null) as jobs
           from workflow.runs r where id = $1`,
          [run],
        );
        const { rows: past } = await database.pool.query(
          `select version, event, state, attempt, outcome, next_state, worker, error, detail
           from workflow.history where run_id = $1 order by id`,
          [run],
        );
        ends.push({
          row: timeless(row),
          times,
          past,
          next: rows[0]?.next === null ? null : timeless(rows[0]!.next),
        });
      }
      expect(ends[0]).toEqual(ends[1]);
    }),
    { numRuns: 60 },
  );
});

/** A run without what differs between any two runs. */
function timeless(of: object): object {
  const changing = /_at$|^(id|workflowKey|correlation_?[iI]d|enteredAt|deadline)$/;
  return Object.fromEntries(Object.entries(of).filter(([name]) => !changing.test(name)));
}

describe('many runs in one start', () => {
  test('each has its job and its history; those open already are found', async () => {
    const open = (await start(1))[0]!;
    const openKey = await keyOf(open);
    const runs = ['many a', 'many b', openKey, 'many a'].map((key, n) => ({
      machine: 'fork',
      key,
      input: { n },
    }));
    const ids = await startRuns(database.pool, runs, 'test');
    expect([...ids.keys()].toSorted()).toEqual([openKey, 'many a', 'many b'].toSorted());
    expect(ids.get(openKey)).toBe(open);
    const { rows } = await database.pool.query(
      `select r.workflow_key, r.status, r.started_by, j.task_identifier, j.max_attempts
       from workflow.runs r join graphile_worker.jobs j on j.key = 'run:' || r.id where r.workflow_key like 'many %' order by 1`,
    );
    const job = { status: 'PENDING', started_by: 'test', task_identifier: 'work', max_attempts: 25 };
    expect(rows).toEqual([
      { workflow_key: 'many a', ...job },
      { workflow_key: 'many b', ...job },
    ]);
    await Promise.all([...ids.values()].map(async (id) => executor.advance(id)));
    for (const id of ids.values()) expect(await pastOf(database.pool, id)).toEqual(ALL);
  });

  test('a machine that begins with a wait waits; an unknown one starts nothing', async () => {
    const ids = await startRuns(database.pool, [{ machine: 'waits', key: 'waiting', input: {} }], 'test');
    expect(await rowOf(database.pool, ids.get('waiting')!)).toMatchObject({ status: 'WAITING' });
    const runs = ['fork', 'none'].map((machine) => ({ machine, key: `of ${machine}`, input: {} }));
    await expect(startRuns(database.pool, runs, 'test')).rejects.toMatchObject({
      code: 'DV_MACHINE_UNKNOWN',
    });
    const { rowCount } = await database.pool.query(
      `select from workflow.runs where workflow_key = 'of fork'`,
    );
    expect(rowCount).toBe(0);
  });
});

test('a busy worker gives back what it fetched and has no slot for', async () => {
  const busy = await work({ concurrency: 1 });
  const [begun, proceed] = [gate(), gate()];
  const first = (await start(1))[0]!;
  script.on(await keyOf(first), 'one', async () => {
    begun.resolve();
    await proceed.promise;
    return { outcome: 'done' };
  });
  await begun.promise;
  const second = (await start(1))[0]!;
  const locked = async () =>
    (await database.pool.query('select from graphile_worker.jobs where locked_at is not null')).rowCount;
  // It fetches ahead.
  await expect.poll(locked, { interval: 5 }).toBe(2);
  const other = await work({ concurrency: 1 });
  await untilStatus(database.pool, second, 'COMPLETED', 3000);
  proceed.resolve();
  await untilStatus(database.pool, first, 'COMPLETED');
  await Promise.all([busy.stop(), other.stop()]);
});
