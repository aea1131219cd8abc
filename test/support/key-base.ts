import type { Entry } from '../../src/dict/entry/entry.ts';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { generateKeyBase } from '../../src/simulator/index.ts';

/** The participant of most tests. */
export const ISPB = '12345678';

/** N generated keys of a type; the same seed makes the same keys. */
export function keys(keyType: KeyType, count: number, seed = 1, participant = ISPB): Entry[] {
  return [...generateKeyBase({ participant, keyTypes: [keyType], keysPerType: count, seed })];
}
