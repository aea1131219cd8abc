import { describe, expect, test } from 'vitest';
import { historyOf, machineOver } from '../../../src/engine/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { advanceClock, captureLog, pastOf, rowOf } from './support.ts';

const activities = { work: scripted<'done'>('done'), mourn: scripted<'done'>('done') };
const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
const plain = machineOf({
  name: 'plain',
  version: 1,
  initial: 'work',
  states: {
    work: { kind: 'activity', task: 'work', on: { done: 'more' } },
    more: { kind: 'activity', task: 'work', retry: { maxAttempts: 2, initialMs: 200 }, on: { done: 'end' } },
    end,
  },
});
const patient = machineOf({
  name: 'patient',
  version: 1,
  initial: 'work',
  states: { work: { kind: 'activity', task: 'work', retry: { maxAttempts: 9 }, on: { done: 'end' } }, end },
});
const guarded = machineOf({
  name: 'guarded',
  version: 1,
  initial: 'work',
  states: {
    work: { kind: 'activity', task: 'work', on: { done: 'end', failure: 'mourn' } },
    mourn: { kind: 'activity', task: 'mourn', on: { done: 'failed' } },
    failed: { kind: 'terminal', closesAs: 'FAILED' },
    end,
  },
});

const captured = captureLog();
const { database, script, executor, start } = useEngine({
  machines: [plain, patient, guarded],
  activities,
  log: captured.log,
});
const fail = (error: unknown) => () => {
  throw error;
};

async function engineTime(ahead: string): Promise<Date> {
  const { rows } = await database.pool.query<{ at: Date }>('select workflow.now() + $1::interval as at', [
    ahead,
  ]);
  return rows[0]?.at ?? new Date(0);
}

/** The seconds between the attempts of a run until it closes. */
async function pausesOf(run: string): Promise<number[]> {
  const pauses: number[] = [];
  for (;;) {
    await executor.advance(run);
    const { wakes_in: pause } = await rowOf(database.pool, run);
    if (pause === null) return pauses;
    pauses.push(pause);
    await advanceClock(database.pool, `${pause} seconds`);
  }
}

/** Within the jitter of 10 %, and what the test itself takes. */
function about(seconds: number) {
  return expect.toSatisfy((pause: number) => pause > seconds - 0.2 && pause <= seconds * 1.1) as number;
}

describe('the retry policy', () => {
  test('it waits 1, 2, 4 … at most 30 s, each up to 10 % longer, and gives up after its attempts', async () => {
    const run = await start('patient', 'delays');
    script.on('delays', 'work', fail(new DvError('DV_DICT_INTERNAL', 'again')));
    const pauses = await pausesOf(run);
    expect(pauses).toEqual([1, 2, 4, 8, 16, 30, 30, 30].map(about));
    expect(new Set(pauses.map((pause, n) => (pause / Math.min(2 ** n, 30)).toFixed(4))).size).toBeGreaterThan(
      4,
    );
    expect(await rowOf(database.pool, run)).toMatchObject({
      ...{ status: 'FAILED', state: 'work', failed_state: 'work', attempt: 9 },
      error: { code: 'DV_DICT_INTERNAL', class: 'retryable', message: 'again' },
    });
  });

  test('it has five attempts unless the state says otherwise', async () => {
    const run = await start('plain', 'attempts');
    script.on('attempts', 'work', fail(new DvError('DV_DICT_INTERNAL', 'again')));
    expect(await pausesOf(run)).toHaveLength(4);
    const few = await start('plain', 'few');
    script.on('few', 'more', fail(new DvError('DV_DICT_INTERNAL', 'again')));
    expect(await pausesOf(few)).toEqual([about(0.2)]);
    expect(await pastOf(database.pool, few)).toEqual([
      'CREATED work/0',
      'STARTED work/1',
      'COMPLETED work/1 done>more',
      'STARTED more/1',
      'FAILED more/1 retry',
      'STARTED more/2',
      'FAILED more/2 failure',
      'CLOSED more/2 FAILED',
    ]);
  });

  test('it does not apply to an error that is not retryable', async () => {
    const run = await start('plain', 'hopeless');
    script.on('hopeless', 'work', fail(new DvError('DV_DICT_FORBIDDEN', 'never')));
    expect(await pausesOf(run)).toEqual([]);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'FAILED', attempt: 1 });
  });

  test('a rate limit uses up no attempt, and its time is waited for', async () => {
    const run = await start('plain', 'limited');
    const retryAt = await engineTime('90 s');
    script.on('limited', 'work', fail(new DvError('DV_DICT_RATE_LIMITED', 'later', { retryAt })));
    for (let n = 0; n < 7; n++) {
      await executor.advance(run);
      const { wakes_in: pause, attempt } = await rowOf(database.pool, run);
      expect(attempt).toBe(0);
      if (n === 0) expect(pause).toEqual(about(90));
      await advanceClock(database.pool, `${pause} seconds`);
    }
    const silent = await start('plain', 'limited, says not until when');
    script.on('limited, says not until when', 'work', fail(new DvError('DV_DICT_RATE_LIMITED', 'x')));
    await executor.advance(silent);
    expect(await rowOf(database.pool, silent)).toMatchObject({ attempt: 0, wakes_in: about(30) });
  });

  test('a rate limit of more than an hour uses up attempts', async () => {
    const run = await start('plain', 'limited for hours');
    script.on('limited for hours', 'work', fail(new DvError('DV_DICT_RATE_LIMITED', 'later')));
    await executor.advance(run);
    await advanceClock(database.pool, '61 minutes');
    expect(await pausesOf(run)).toHaveLength(4);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'FAILED', attempt: 5 });
  });

  test('a retryable error that names a time is not tried earlier', async () => {
    const run = await start('plain', 'says when');
    const options = { retryAt: await engineTime('70 s') };
    script.on('says when', 'work', fail(new DvError('DV_DICT_INTERNAL', 'later', options)));
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ attempt: 1, wakes_in: about(70) });
  });

  test('an error is forgotten when a later attempt succeeds', async () => {
    const run = await start('plain', 'recovers');
    script.on('recovers', 'work', ({ attempt }) => {
      if (attempt === 1) throw new DvError('DV_DICT_INTERNAL', 'once', { correlationId: 'c-1' });
      return { outcome: 'done' };
    });
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      error: { code: 'DV_DICT_INTERNAL', correlationId: 'c-1' },
    });
    await advanceClock(database.pool, '2 seconds');
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', error: null });
  });
});

describe('a failure transition', () => {
  test('it keeps the error, and names the state that failed', async () => {
    const run = await start('guarded', 'edge');
    script.on('edge', 'work', fail(new DvError('DV_DICT_FORBIDDEN', 'the reason')));
    let seen: unknown;
    script.on('edge', 'mourn', ({ run: { error, failedState } }) => {
      seen = { code: error?.code, failedState };
      return { outcome: 'done' };
    });
    await executor.advance(run);
    expect(seen).toEqual({ code: 'DV_DICT_FORBIDDEN', failedState: 'work' });
    expect(await rowOf(database.pool, run)).toMatchObject({
      ...{ status: 'FAILED', state: 'failed', failed_state: 'work', error: { message: 'the reason' } },
    });
    expect(await pastOf(database.pool, run)).toEqual([
      'CREATED work/0',
      'STARTED work/1',
      'FAILED work/1 failure>mourn',
      'STARTED mourn/1',
      'COMPLETED mourn/1 done>failed',
      'CLOSED failed/0 FAILED',
    ]);
  });

  test('it keeps its reason when a step of the failure path is itself retried', async () => {
    const run = await start('guarded', 'troubled path');
    script.on('troubled path', 'work', fail(new DvError('DV_DICT_FORBIDDEN', 'the reason')));
    const seen: unknown[] = [];
    script.on('troubled path', 'mourn', ({ attempt, run: { error } }) => {
      seen.push(error?.message);
      if (attempt === 1) throw new DvError('DV_BRIDGE_TIMEOUT', 'another error');
      return { outcome: 'done' };
    });
    await executor.advance(run);
    await advanceClock(database.pool, '2 seconds');
    await executor.advance(run);
    expect(seen).toEqual(['the reason', 'the reason']);
    expect(await rowOf(database.pool, run)).toMatchObject({
      status: 'FAILED',
      error: { message: 'the reason' },
    });
  });
});

test('the text of an unexpected error is in no run, no history and no log, because it may quote a person', async () => {
  const run = await start('plain', 'unexpected');
  script.on('unexpected', 'work', fail(new TypeError('no account of João Silva, 111.222.333-00')));
  await executor.advance(run);
  const kept = JSON.stringify([await rowOf(database.pool, run), await historyOf(database.pool, run)]);
  expect(kept).toContain('DV_UNEXPECTED');
  expect(captured.text()).toContain('unexpected error in an activity');
  expect(captured.text()).toContain('retries.test.ts');
  for (const text of [kept, captured.text()]) expect(text).not.toMatch(/João|111\.222/);
});

test('nor is the text in which Postgres quotes values', async () => {
  const run = await start('plain', 'constraint');
  await database.pool.query('create table public.people (name text primary key)');
  await database.pool.query(`insert into public.people values ('João Silva')`);
  script.on('constraint', 'work', () => async (tx) => {
    await tx.query(`insert into public.people values ('João Silva')`);
    return { outcome: 'done' };
  });
  await executor.advance(run);
  const kept = JSON.stringify([await rowOf(database.pool, run), await historyOf(database.pool, run)]);
  expect(kept).toContain('DV_DATABASE');
  expect(kept).toContain('people_pkey');
  for (const text of [kept, captured.text()]) expect(text).not.toContain('João');
});
