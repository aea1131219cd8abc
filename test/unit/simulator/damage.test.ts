import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entryProblems } from '../../../src/dict/entry/entry-validation.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { damage, generateKeyBase } from '../../../src/simulator/index.ts';

const base = [...generateKeyBase({ participant: '12345678', keyTypes: KEY_TYPES, keysPerType: 60, seed: 3 })];

test('exactly N keys of each type differ, about a third in each of three kinds, and the plan counts them', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), fc.integer(), (perType, seed) => {
      const { local, plan } = damage(base, { perType, seed });
      expect(local.flatMap(entryProblems)).toEqual([]);
      for (const keyType of KEY_TYPES) {
        const dict = new Map(base.filter((e) => e.keyType === keyType).map((e) => [e.key, e]));
        const mine = local.filter((e) => e.keyType === keyType);
        const here = new Map(mine.map((e) => [e.key, e]));
        expect(here.size).toBe(mine.length);
        const changed = mine.filter((e) => {
          const there = dict.get(e.key);
          return there !== undefined && JSON.stringify(there) !== JSON.stringify(e);
        });
        for (const entry of changed) {
          const { name, accountNumber } = dict.get(entry.key)!;
          expect({ ...entry, name, accountNumber }).toEqual(dict.get(entry.key));
        }
        const found = {
          dictOnly: [...dict.keys()].filter((key) => !here.has(key)).length,
          localOnly: mine.filter((e) => !dict.has(e.key)).length,
          changed: changed.length,
        };
        expect(plan[keyType]).toEqual(found);
        const counts = Object.values(found);
        expect(counts.reduce((sum, count) => sum + count)).toBe(perType);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 50 },
  );
});

test('the same seed does the same damage, another seed does other damage, and the base stays as it was', () => {
  const before = structuredClone(base);
  const first = damage(base, { perType: 9, seed: 5 });
  expect(damage(base, { perType: 9, seed: 5 })).toEqual(first);
  expect(damage(base, { perType: 9, seed: 6 }).local).not.toEqual(first.local);
  expect(base).toEqual(before);
});

test('types that the base lacks are left alone; more damage than keys is refused', () => {
  const phones = base.filter((entry) => entry.keyType === 'PHONE');
  const { plan } = damage(phones, { perType: 4, seed: 1 });
  expect(plan.CPF).toEqual({ dictOnly: 0, localOnly: 0, changed: 0 });
  expect(() => damage(base, { perType: 61, seed: 1 })).toThrow(DvError);
});

test('damage with the seed of the base still makes keys of its own', () => {
  const { local, plan } = damage(base, { perType: 60, seed: 3 });
  expect(plan.CNPJ).toEqual({ dictOnly: 20, localOnly: 20, changed: 20 });
  expect(new Set(local.map((entry) => entry.key)).size).toBe(local.length);
});
