import type { Entry } from '../../../src/dict/entry/entry.ts';
import type { KeyType } from '../../../src/dict/entry/key-type.ts';
import { DictProblem, SimulatedDict, generateKeyBase } from '../../../src/simulator/index.ts';
import type { SimulatedDictOptions } from '../../../src/simulator/index.ts';

export const ISPB = '12345678';
export const CALLER = { correlationId: 'test' };
export const START = Date.UTC(2026, 0, 10, 10);

/** A DICT whose clock the test drives. */
export function drivenDict(options: SimulatedDictOptions = {}) {
  let now = START;
  const dict = new SimulatedDict({ clock: () => now, ...options });
  return {
    dict,
    /** Lets milliseconds pass. */
    pass(ms: number) {
      now += ms;
    },
  };
}

export function keys(keyType: KeyType, count: number, seed = 1, participant = ISPB): Entry[] {
  return [...generateKeyBase({ participant, keyTypes: [keyType], keysPerType: count, seed })];
}

/** The problem an operation of the directory throws, or a call is answered with: "404 NotFound". */
export async function problem(operation: () => unknown): Promise<string> {
  try {
    await operation();
  } catch (error) {
    if (error instanceof DictProblem) return `${error.status} ${error.type}`;
    throw error;
  }
  return 'none';
}
