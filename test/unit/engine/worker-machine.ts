import { machineOver } from '../../../src/engine/index.ts';
import { scripted } from './script.ts';

/** What worker.test.ts and the process it kills share. */
export const activities = { work: scripted<'done'>('done'), more: scripted<'done'>('done') };

export const twoSteps = machineOver<typeof activities>()({
  name: 'two-steps',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two' } },
    two: { kind: 'activity', task: 'more', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});
