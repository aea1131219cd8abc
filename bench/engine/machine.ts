import type { Activities, Machine } from '../../src/engine/index.ts';

/** A machine of N steps that only answer; each remembers what it answered. */
export function line(steps: number): Machine {
  const states: Machine['states'] = { end: { kind: 'terminal', closesAs: 'COMPLETED' } };
  for (let i = 1; i <= steps; i++) {
    states[`step${i}`] = {
      kind: 'activity',
      task: 'note',
      on: { done: i === steps ? 'end' : `step${i + 1}` },
    };
  }
  return { name: `line${steps}`, version: 1, initial: 'step1', states };
}

export const activities: Activities<null> = {
  note: async ({ state }) => ({ outcome: 'done', context: { last: state } }),
};
