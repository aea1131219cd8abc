import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entryProblems } from '../../../src/dict/entry/entry-validation.ts';
import { hasWrongCheckDigits } from '../../../src/dict/entry/tax-id.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';

const base = (seed: number, keysPerType: number, participant = '12345678') => [
  ...generateKeyBase({ participant, keyTypes: KEY_TYPES, keysPerType, seed }),
];

test('entries are valid, keys and request ids are all different, and there are as many as asked for', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 0, max: 300 }), (seed, count) => {
      const entries = base(seed, count);
      expect(entries.flatMap(entryProblems)).toEqual([]);
      for (const keyType of KEY_TYPES) {
        expect(entries.filter((entry) => entry.keyType === keyType)).toHaveLength(count);
      }
      expect(new Set(entries.map((entry) => entry.key)).size).toBe(5 * count);
      expect(new Set(entries.map((entry) => entry.requestId)).size).toBe(5 * count);
    }),
    { numRuns: 30 },
  );
});

test('the same seed gives the same entries, another seed or participant gives others', () => {
  const entries = base(7, 200);
  expect(base(7, 200)).toEqual(entries);
  const known = new Set(entries.map((entry) => entry.key));
  expect(base(8, 200).filter((entry) => known.has(entry.key))).toEqual([]);
  expect(base(7, 200, '00000001').filter((entry) => known.has(entry.key))).toEqual([]);
});

test('it has what makes CIDs go wrong: accents, leading zeros, no branch, trade names', () => {
  const entries = base(1, 1000);
  const share = (is: (entry: (typeof entries)[0]) => boolean) => entries.filter(is).length / entries.length;
  expect(share((entry) => /[À-ÿ]/.test(entry.name))).toBeGreaterThan(0.3);
  expect(share((entry) => entry.branch === null)).toBeGreaterThan(0.05);
  expect(share((entry) => entry.branch?.startsWith('0') ?? false)).toBeGreaterThan(0.3);
  expect(share((entry) => entry.accountNumber.startsWith('0'))).toBeGreaterThan(0.5);
  expect(share((entry) => entry.tradeName !== null)).toBeGreaterThan(0.2);
  expect(share((entry) => entry.ownerType === 'NATURAL_PERSON')).toBeGreaterThan(0.5);
  const cnpjs = entries.filter(({ keyType }) => keyType === 'CNPJ');
  const lettered = cnpjs.filter(({ key }) => /[A-Z]/.test(key)).length / cnpjs.length;
  expect(lettered).toBeGreaterThan(0.05);
  expect(lettered).toBeLessThan(0.2);
  expect(entries.filter(({ taxIdNumber }) => hasWrongCheckDigits(taxIdNumber))).toEqual([]);
  for (const entry of entries) expect(entry.name).toBe(entry.name.normalize('NFC'));
});

test('a base larger than the number of possible keys is refused', () => {
  expect(() => base(1, 10_000_001)).toThrow('10000000');
});
