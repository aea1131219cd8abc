import { describe, expect, test } from 'vitest';
import { maybeOne, one } from '../../../src/errors/rows.ts';

const impossible = expect.objectContaining({ code: 'DV_UNEXPECTED', class: 'not_retryable' });

describe('one', () => {
  test('is the only row, whatever it contains', () => {
    expect(one([{ n: 0 }])).toEqual({ n: 0 });
    expect(one([null])).toBeNull();
  });
  test('throws when there is no row, or more than one', () => {
    expect(() => one([])).toThrow(impossible);
    expect(() => one([1, 2])).toThrow(impossible);
  });
});

describe('maybeOne', () => {
  test('is the only row, or undefined', () => {
    expect(maybeOne([{ n: 0 }])).toEqual({ n: 0 });
    expect(maybeOne([])).toBeUndefined();
  });
  test('throws when there is more than one row', () => {
    expect(() => maybeOne([1, 2])).toThrow(impossible);
  });
});
