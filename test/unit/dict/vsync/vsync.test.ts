import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCid } from '../../../../src/dict/entry/cid.ts';
import { VSync } from '../../../../src/dict/vsync/vsync.ts';

const cids = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 30 });
const naive = (all: Uint8Array[]) =>
  all
    .reduce((xor, cid) => xor ^ BigInt(`0x${Buffer.from(cid).toString('hex')}`), 0n)
    .toString(16)
    .padStart(64, '0');
const vsyncOf = (all: Uint8Array[]) => all.reduce((vsync: VSync, cid) => vsync.xor(cid), VSync.empty());

test("it equals BACEN's vector", () => {
  const vsync = vsyncOf(
    [
      '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88',
      '4d4abb9168114e349672b934d16ed201a919cb49e28b7f66a240e62c92ee007f',
      'fce514f84f37934bc8aa0f861e4f7392273d71b9d18e8209d21e4192a7842058',
    ].map(parseCid),
  );
  expect(vsync.toHex()).toBe('996fc1dd3b6b14bcf0c9fe8320eb66d7e2a3fd874ccf767b2e939641b1ea8eaf');
});

test('the empty set is 64 zeros', () => {
  expect(VSync.empty().toHex()).toBe('0'.repeat(64));
});

test('it equals the naive XOR of big integers, in any order', () => {
  const anyOrder = cids.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
  );
  fc.assert(
    fc.property(anyOrder, ([all, shuffled]) => {
      expect(vsyncOf(all).toHex()).toBe(naive(all));
      expect(vsyncOf(shuffled).equals(vsyncOf(all))).toBe(true);
    }),
  );
});

test('a CID added and removed leaves no trace', () => {
  fc.assert(
    fc.property(cids, (all) => {
      expect(vsyncOf([...all, ...all]).equals(VSync.empty())).toBe(true);
    }),
  );
});

test('parse and toHex accept either case', () => {
  const hex = 'ab'.repeat(32);
  expect(VSync.parse(hex.toUpperCase()).toHex()).toBe(hex);
  expect(VSync.parse(hex).equals(VSync.empty())).toBe(false);
  expect(() => VSync.parse('ab')).toThrow(expect.objectContaining({ code: 'DV_VSYNC_INVALID' }));
});

test('a CID of another length is refused', () => {
  expect(() => VSync.empty().xor(new Uint8Array(31))).toThrow(
    expect.objectContaining({ code: 'DV_CID_INVALID' }),
  );
});
