import { describe, expect, test } from 'vitest';
import { machineOver, storeMachines, type Machine } from '../../../src/engine/index.ts';
import { fingerprint } from '../../../src/engine/store-machines.ts';
import { useTestDatabase } from '../../support/database.ts';
import { scripted } from './script.ts';

const activities = {
  work: scripted<'done' | 'other'>('done'),
  poll: scripted<'pending' | 'there'>('there'),
  chunk: scripted<'again' | 'through'>('through'),
};
const machineOf = machineOver<typeof activities>();

function machine(name: string, version = 1, task: 'work' | 'chunk' = 'work'): Machine {
  return task === 'work'
    ? machineOf({
        name,
        version,
        initial: 'one',
        states: {
          one: { kind: 'activity', task: 'work', on: { done: 'end', other: 'end' } },
          end: { kind: 'terminal', closesAs: 'COMPLETED' },
        },
      })
    : machineOf({
        name,
        version,
        initial: 'one',
        states: {
          one: { kind: 'loop', task: 'chunk', on: { through: 'end' } },
          end: { kind: 'terminal', closesAs: 'COMPLETED' },
        },
      });
}

describe('storing machines', () => {
  const database = useTestDatabase();

  test('it keeps states with their policies, defaults filled in, and transitions', async () => {
    const full = machineOf({
      name: 'full',
      version: 3,
      initial: 'work',
      states: {
        work: {
          kind: 'activity',
          task: 'work',
          retry: { maxAttempts: 2, initialMs: 50, backoff: 3, maxMs: 900 },
          startToCloseMs: 1500,
          on: { done: 'poll', other: 'end', failure: 'end' },
        },
        poll: {
          kind: 'poll',
          task: 'poll',
          poll: { initialMs: 1000, backoff: 2, maxMs: 60_000 },
          deadlineMs: 600_000,
          on: { there: 'wait', timeout: 'end' },
        },
        wait: {
          kind: 'wait',
          signals: ['go'],
          awaitsChildren: true,
          on: { go: 'end', children_closed: 'end' },
        },
        end: { kind: 'terminal', closesAs: 'REJECTED' },
      },
    });
    await storeMachines(database.pool, [full]);
    const { rows: states } = await database.pool.query(
      `select state, kind, task, max_attempts as n, initial_interval::text as i, backoff as b, max_interval::text as m,
         start_to_close::text as s, poll_initial::text as pi, poll_backoff as pb, poll_max::text as pm,
         deadline::text as d, signals, awaits_children as c, closes_as
       from workflow.states where machine = 'full' and version = 3 order by state`,
    );
    const defaults = { n: 5, i: '00:00:01', b: 2, m: '00:00:30', s: '00:05:00' };
    const none = { pi: null, pb: null, pm: null, d: null, signals: [], c: false, closes_as: null };
    expect(states).toEqual([
      { state: 'end', kind: 'terminal', task: null, ...defaults, ...none, closes_as: 'REJECTED' },
      {
        ...{ state: 'poll', kind: 'poll', task: 'poll', ...defaults, ...none },
        ...{ pi: '00:00:01', pb: 2, pm: '00:01:00', d: '00:10:00' },
      },
      { state: 'wait', kind: 'wait', task: null, ...defaults, ...none, signals: ['go'], c: true },
      {
        ...{ state: 'work', kind: 'activity', task: 'work', ...none },
        ...{ n: 2, i: '00:00:00.05', b: 3, m: '00:00:00.9', s: '00:00:01.5' },
      },
    ]);
    const { rows: edges } = await database.pool.query<{ edge: string }>(
      `select state || ' ' || outcome || '>' || next_state as edge from workflow.transitions
       where machine = 'full' and version = 3 order by 1`,
    );
    expect(edges.map(({ edge }) => edge)).toEqual([
      'poll there>wait',
      'poll timeout>end',
      'wait children_closed>end',
      'wait go>end',
      'work done>poll',
      'work failure>end',
      'work other>end',
    ]);
  });

  test('a changed machine needs a new version; the old one stays as it was', async () => {
    await storeMachines(database.pool, [machine('changing')]);
    await storeMachines(database.pool, [machine('changing')]);
    const changed = machine('changing', 1, 'chunk');
    await expect(storeMachines(database.pool, [machine('beside'), changed])).rejects.toMatchObject({
      code: 'DV_MACHINE_CHANGED',
    });
    await storeMachines(database.pool, [machine('changing', 2, 'chunk')]);
    const { rows } = await database.pool.query(
      `select version, kind from workflow.states where machine in ('changing', 'beside') and state = 'one' order by version`,
    );
    expect(rows).toEqual([
      { version: 1, kind: 'activity' },
      { version: 2, kind: 'loop' },
    ]);
  });

  test('processes that store simultaneously all succeed', async () => {
    const stored = ['a', 'b', 'c'].map((name) => machine(name));
    await Promise.all(Array.from({ length: 6 }, async () => storeMachines(database.pool, stored)));
    const { rows } = await database.pool.query<{ states: number }>(
      `select count(*)::integer as states from workflow.states where machine in ('a', 'b', 'c')`,
    );
    expect(rows).toEqual([{ states: 6 }]);
  });
});

test('the fingerprint ignores only the order of keys, and transitions that are absent', () => {
  const one: Machine = {
    name: 'm',
    version: 1,
    initial: 'a',
    states: {
      a: { kind: 'wait', signals: ['x'], on: { x: 'b' } },
      b: { kind: 'terminal', closesAs: 'FAILED' },
    },
  };
  const same: Machine = {
    states: {
      b: { closesAs: 'FAILED', kind: 'terminal' },
      a: { on: { x: 'b', failure: undefined }, signals: ['x'], kind: 'wait' },
    },
    initial: 'a',
    version: 1,
    name: 'm',
  };
  expect(fingerprint(same)).toBe(fingerprint(one));
  expect(
    fingerprint({ ...one, states: { ...one.states, b: { kind: 'terminal', closesAs: 'REJECTED' } } }),
  ).not.toBe(fingerprint(one));
});

test('exactly the outcomes that a wait can end with have a transition', () => {
  const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
  const declare = (wait: object) => () =>
    machineOf({ name: 'w', version: 1, initial: 'wait', states: { wait: wait as never, end } });
  const wait = { kind: 'wait', signals: ['go', 'stop'], on: { go: 'end', stop: 'end' } };
  expect(declare(wait)).not.toThrow();
  const wrong = [
    { ...wait, on: { go: 'end' } },
    { ...wait, on: { ...wait.on, halt: 'end' } },
    { ...wait, deadlineMs: 1 },
    { ...wait, awaitsChildren: true },
    { ...wait, on: { ...wait.on, timeout: 'end' } },
  ];
  for (const each of wrong) {
    expect(declare(each)).toThrow(expect.objectContaining({ code: 'DV_MACHINE_INVALID' }) as Error);
  }
});

/** Never called: its errors are the test, and the type check runs it. */
export function doesNotCompile() {
  const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
  machineOf({
    name: 'initial state that does not exist',
    version: 1,
    // @ts-expect-error
    initial: 'nowhere',
    states: { end },
  });
  machineOf({
    name: 'next state that does not exist',
    version: 1,
    initial: 'one',
    // @ts-expect-error
    states: { one: { kind: 'activity', task: 'work', on: { done: 'nowhere', other: 'end' } }, end },
  });
  machineOf({
    name: 'outcome that leads nowhere',
    version: 1,
    initial: 'one',
    // @ts-expect-error
    states: { one: { kind: 'activity', task: 'work', on: { done: 'end' } }, end },
  });
  machineOf({
    name: 'outcome that does not exist',
    version: 1,
    initial: 'one',
    // @ts-expect-error
    states: { one: { kind: 'activity', task: 'work', on: { done: 'end', other: 'end', third: 'end' } }, end },
  });
  machineOf({
    name: 'task that does not exist',
    version: 1,
    initial: 'one',
    // @ts-expect-error
    states: { one: { kind: 'activity', task: 'play', on: { done: 'end' } }, end },
  });
  machineOf({
    name: 'poll without its timeout',
    version: 1,
    initial: 'one',
    states: {
      one: {
        kind: 'poll',
        task: 'poll',
        poll: { initialMs: 1, backoff: 1, maxMs: 1 },
        deadlineMs: 1,
        // @ts-expect-error
        on: { there: 'end' },
      },
      end,
    },
  });
  machineOf({
    name: 'invalid end',
    version: 1,
    initial: 'end',
    // @ts-expect-error
    states: { end: { kind: 'terminal', closesAs: 'DONE' } },
  });
}
