import { DictProblem, SimulatedDict } from '../../../src/simulator/index.ts';
import type { SimulatedDictOptions } from '../../../src/simulator/index.ts';

export { ISPB, keys } from '../../support/key-base.ts';

export const CALLER = { correlationId: 'test' };
export const START = Date.UTC(2026, 0, 10, 10);

/** A DICT whose clock the test drives. */
export function drivenDict(options: SimulatedDictOptions = {}) {
  let now = START;
  const dict = new SimulatedDict({ clock: () => now, participants: 'any', ...options });
  return {
    dict,
    /** Lets milliseconds pass. */
    pass(ms: number) {
      now += ms;
    },
  };
}

/** The problem that an operation of the directory throws, or that answers a call: "404 NotFound". */
export async function problem(operation: () => unknown): Promise<string> {
  try {
    await operation();
  } catch (error) {
    if (error instanceof DictProblem) return `${error.status} ${error.type}`;
    throw error;
  }
  return 'none';
}
