import { describe, expect, test } from 'vitest';
import { machineOver } from '../../../src/engine/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { advanceClock, pastOf, rowOf } from './support.ts';

const activities = {
  chunk: scripted<'again' | 'through'>('through'),
  look: scripted<'pending' | 'there'>('there'),
};
const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
const late = { kind: 'terminal', closesAs: 'REJECTED' } as const;
const loop = machineOf({
  name: 'loop',
  version: 1,
  initial: 'chunks',
  states: { chunks: { kind: 'loop', task: 'chunk', on: { through: 'end' } }, end },
});
const look = {
  kind: 'poll',
  task: 'look',
  poll: { initialMs: 1000, backoff: 2, maxMs: 8000 },
  deadlineMs: 60_000,
  on: { there: 'end', timeout: 'late' },
} as const;
const poll = machineOf({
  name: 'poll',
  version: 1,
  initial: 'first',
  states: { first: { kind: 'loop', task: 'chunk', on: { through: 'look' } }, look, end, late },
});
const pollFirst = machineOf({ name: 'poll-first', version: 1, initial: 'look', states: { look, end, late } });

const { database, script, executor, start } = useEngine({ machines: [loop, poll, pollFirst], activities });

describe('a loop', () => {
  test('it does each chunk as a step of its own, in a row', async () => {
    const run = await start('loop', 'chunks');
    const transactions: unknown[] = [];
    script.on('chunks', 'chunks', ({ repetitions, attempt, run: { context } }) => async (tx) => {
      const { rows } = await tx.query<{ id: string }>('select pg_current_xact_id()::text as id');
      transactions.push(rows[0]?.id);
      expect([attempt, context['done'] ?? 0]).toEqual([1, repetitions]);
      return { outcome: repetitions < 3 ? 'again' : 'through', context: { done: repetitions + 1 } };
    });
    await executor.advance(run);
    expect(new Set(transactions).size).toBe(4);
    expect(await rowOf(database.pool, run)).toMatchObject({
      status: 'COMPLETED',
      context: { done: 4 },
      version: 4,
    });
    expect((await pastOf(database.pool, run)).slice(1, 5)).toEqual([
      'STARTED chunks/1',
      'COMPLETED chunks/1 again',
      'STARTED chunks/1',
      'COMPLETED chunks/1 again',
    ]);
  });

  test('it counts attempts of the chunk, not of the loop', async () => {
    const run = await start('loop', 'troubled');
    script.on('troubled', 'chunks', ({ repetitions, attempt }) => {
      if (attempt < 4) throw new DvError('DV_DICT_INTERNAL', 'again');
      return { outcome: repetitions < 2 ? 'again' : 'through' };
    });
    for (let n = 0; n < 10; n++) {
      await executor.advance(run);
      await advanceClock(database.pool, '10 seconds');
    }
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', error: null });
    expect(script.count('troubled', 'chunks')).toBe(12);
  });

  test('it pauses when a chunk asks for it', async () => {
    const run = await start('loop', 'pausing');
    script.on('pausing', 'chunks', ({ repetitions }) => {
      return repetitions === 0 ? { outcome: 'again', wakeAfterMs: 20_000 } : { outcome: 'through' };
    });
    await executor.advance(run);
    const { wakes_in: pause, polls } = await rowOf(database.pool, run);
    expect([polls, Math.round(pause ?? 0)]).toEqual([1, 20]);
    await executor.advance(run);
    expect(script.count('pausing', 'chunks')).toBe(1);
    await advanceClock(database.pool, '20 seconds');
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });
});

describe('a poll', () => {
  async function pausesUntilClosed(run: string): Promise<number[]> {
    const pauses: number[] = [];
    for (;;) {
      await executor.advance(run);
      const { wakes_in: pause } = await rowOf(database.pool, run);
      if (pause === null) return pauses;
      pauses.push(Math.round(pause));
      await advanceClock(database.pool, `${pause} seconds`);
    }
  }

  test.each(['poll', 'poll-first'])(
    'of %s backs off 1, 2, 4 … up to its limit, until its deadline',
    async (machine) => {
      const run = await start(machine, machine);
      script.on(machine, 'look', () => ({ outcome: 'pending' }));
      // 1 + 2 + 4 + 6 × 8 = 55, and 5 to the deadline of 60.
      expect(await pausesUntilClosed(run)).toEqual([1, 2, 4, 8, 8, 8, 8, 8, 8, 5]);
      expect(await rowOf(database.pool, run)).toMatchObject({ status: 'REJECTED', state: 'late' });
      const past = await pastOf(database.pool, run);
      expect(past.slice(-2)).toEqual(['COMPLETED look/1 timeout>late', 'CLOSED late/0 REJECTED']);
      expect(past).toContain('COMPLETED look/1 pending');
    },
  );

  test('ends with the first other outcome', async () => {
    const run = await start('poll', 'there');
    script.on('there', 'look', ({ repetitions }) => ({ outcome: repetitions < 2 ? 'pending' : 'there' }));
    expect(await pausesUntilClosed(run)).toEqual([1, 2]);
    expect((await rowOf(database.pool, run)).status).toBe('COMPLETED');
  });

  test('waits as long as the activity says instead, never past the deadline', async () => {
    const run = await start('poll', 'overridden');
    script.on('overridden', 'look', ({ repetitions }) => ({
      outcome: 'pending',
      ...(repetitions !== 1 && { wakeAfterMs: 25_000 }),
    }));
    expect(await pausesUntilClosed(run)).toEqual([25, 2, 25, 8]);
    expect((await rowOf(database.pool, run)).state).toBe('late');
  });

  test.each([20_000, 600_000])(
    'ends after %i ms when the activity says so, counted from its beginning',
    async (deadlineMs) => {
      const run = await start('poll-first', `said-${deadlineMs}`);
      script.on(`said-${deadlineMs}`, 'look', () => ({
        outcome: 'pending',
        wakeAfterMs: 1_000_000,
        deadlineMs,
      }));
      await executor.advance(run);
      const { rows } = await database.pool.query<{ wait: number; deadline: number }>(
        `select extract(epoch from wake_at - entered_at)::float8 * 1000 as wait,
         extract(epoch from deadline - entered_at)::float8 * 1000 as deadline from workflow.runs where id = $1`,
        [run],
      );
      expect(rows).toEqual([{ wait: deadlineMs, deadline: deadlineMs }]);
      await advanceClock(database.pool, `${deadlineMs} milliseconds`);
      await executor.advance(run);
      expect(await rowOf(database.pool, run)).toMatchObject({ state: 'late' });
    },
  );

  test('shows what its activity says it waits for, until the next attempt', async () => {
    const run = await start('poll-first', 'says');
    script.on('says', 'look', ({ repetitions }) =>
      repetitions < 2
        ? { outcome: 'pending', detail: repetitions === 0 ? { waitsFor: 'a file of DICT' } : {} }
        : { outcome: 'there' },
    );
    const shown = async () =>
      (
        await database.pool.query<{ waits: string | null }>(
          'select waits_for as waits from workflow.runs_view where id = $1',
          [run],
        )
      ).rows[0]?.waits;
    expect(await shown()).toBe('a worker for the step look');
    const seen: (string | null | undefined)[] = [];
    for (let n = 0; n < 3; n++) {
      await executor.advance(run);
      seen.push(await shown());
      await advanceClock(database.pool, '10 seconds');
    }
    expect(seen).toEqual(['a file of DICT', 'a worker for the step look', null]);
  });

  test('retries an attempt that failed without counting it as a repetition', async () => {
    const run = await start('poll', 'failing');
    script.on('failing', 'look', ({ repetitions, attempt }) => {
      if (repetitions === 1 && attempt === 1) throw new DvError('DV_DICT_INTERNAL', 'x');
      return { outcome: repetitions < 3 ? 'pending' : 'there' };
    });
    expect(await pausesUntilClosed(run)).toEqual([1, 1, 2, 4]);
  });
});
