import { machineOver } from '../../../src/engine/index.ts';
import { scripted } from './script.ts';

export const activities = { work: scripted<'done'>('done'), finish: scripted<'done'>('done') };
/** Three steps, one after the other. */
export const chain = machineOver<typeof activities>()({
  name: 'chain',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two' } },
    two: { kind: 'activity', task: 'work', on: { done: 'three' } },
    three: { kind: 'activity', task: 'finish', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});
