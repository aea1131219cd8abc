import { machineOver } from '../../../src/engine/index.ts';
import { scripted } from './script.ts';

export const activities = { work: scripted<'done'>('done'), spawn: scripted<'spawned'>('spawned') };
const machineOf = machineOver<typeof activities>();
const end = { kind: 'terminal', closesAs: 'COMPLETED' } as const;
/** One step. */
export const steps = machineOf({
  name: 'steps',
  version: 1,
  initial: 'one',
  states: { one: { kind: 'activity', task: 'work', on: { done: 'end' } }, end },
});
/** One step, as a child. */
export const child = machineOf({
  name: 'child',
  version: 1,
  initial: 'work',
  states: { work: { kind: 'activity', task: 'work', on: { done: 'end' } }, end },
});
/** Starts children and waits for their ends, without a deadline. */
export const parent = machineOf({
  name: 'parent',
  version: 1,
  initial: 'spawn',
  states: {
    spawn: { kind: 'spawn', task: 'spawn', on: { spawned: 'wait' } },
    wait: { kind: 'wait', signals: [], awaitsChildren: true, on: { children_closed: 'end' } },
    end,
  },
});
/** Starts children and waits for a signal, not for them. */
export const leaving = machineOf({
  name: 'leaving',
  version: 1,
  initial: 'spawn',
  states: {
    spawn: { kind: 'spawn', task: 'spawn', on: { spawned: 'wait' } },
    wait: { kind: 'wait', signals: ['leave'], on: { leave: 'end' } },
    end,
  },
});
/** Starts children and waits for their ends. */
export const awaiting = machineOf({
  name: 'awaiting',
  version: 1,
  initial: 'spawn',
  states: {
    spawn: { kind: 'spawn', task: 'spawn', on: { spawned: 'between' } },
    between: { kind: 'activity', task: 'work', on: { done: 'wait' } },
    wait: {
      kind: 'wait',
      signals: [],
      awaitsChildren: true,
      deadlineMs: 3_600_000,
      on: { children_closed: 'end', timeout: 'late' },
    },
    end,
    late: { kind: 'terminal', closesAs: 'REJECTED' },
  },
});

/** Continues as new at a signal. */
export const renewing = machineOf({
  name: 'renewing',
  version: 1,
  initial: 'wait',
  states: {
    wait: { kind: 'wait', signals: ['renew', 'leave'], on: { renew: 'continued', leave: 'end' } },
    continued: { kind: 'terminal', closesAs: 'CONTINUED' },
    end,
  },
});
