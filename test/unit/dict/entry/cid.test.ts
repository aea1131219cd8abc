import { expect, test } from 'vitest';
import { cidMessage, computeCid, parseCid, type CidInput } from '../../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { bacenEntry } from './bacen-entry.ts';

const cidOf = (change: Partial<CidInput>) => computeCid({ ...bacenEntry, ...change }).toString('hex');

test("message and CID equal those of BACEN's vector", () => {
  expect(cidMessage(bacenEntry)).toBe(
    'PHONE&+5511987654321&11122233300&João Silva&&12345678&00001&0007654321&CACC',
  );
  expect(computeCid(bacenEntry).toString('hex')).toBe(
    '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88',
  );
});

test('a null counts as an empty text', () => {
  expect(cidOf({ tradeName: '' })).toBe(cidOf({ tradeName: null }));
  expect(cidOf({ branch: '' })).toBe(cidOf({ branch: null }));
  expect(cidMessage({ ...bacenEntry, branch: null })).toContain('&12345678&&0007654321');
});

test('every attribute counts, byte by byte', () => {
  const same = cidOf({});
  expect(cidOf({ name: 'João Silva'.normalize('NFD') })).not.toBe(same);
  expect(cidOf({ name: 'João Silva ' })).not.toBe(same);
  expect(cidOf({ name: 'joão Silva' })).not.toBe(same);
  expect(cidOf({ branch: '1' })).not.toBe(same);
  expect(cidOf({ accountNumber: '7654321' })).not.toBe(same);
  expect(cidOf({ tradeName: 'X' })).not.toBe(same);
  expect(cidOf({ participant: '12345679' })).not.toBe(same);
  expect(cidOf({ accountType: 'TRAN' })).not.toBe(same);
  expect(cidOf({ keyType: 'SOMETHING_NEW' })).not.toBe(same);
  expect(cidOf({ requestId: '01020304-0506-0708-090a-0b0c0d0e0f11' })).not.toBe(same);
});

test('the opening date, the owner type and the case of the RequestId do not count', () => {
  const changed: Entry = { ...bacenEntry, openingDate: '2010-01-10T03:00:00Z', ownerType: 'LEGAL_PERSON' };
  expect(computeCid(changed)).toEqual(computeCid(bacenEntry));
  expect(cidOf({ requestId: bacenEntry.requestId.toUpperCase() })).toBe(cidOf({}));
});

test.each(['', '0102', '01020304050607080090a0b0c0d0e0f1', '01020304-0506-0708-090a-0b0c0d0e0f1g'])(
  'a RequestId that is not a UUID is refused: "%s"',
  (requestId) => {
    expect(() => cidOf({ requestId })).toThrow(expect.objectContaining({ code: 'DV_REQUEST_ID_INVALID' }));
  },
);

test('parseCid takes 64 hex digits of either case', () => {
  const hex = '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88';
  expect(parseCid(hex).toString('hex')).toBe(hex);
  expect(parseCid(hex.toUpperCase()).toString('hex')).toBe(hex);
});

test.each(['', 'ab', 'g'.repeat(64), 'a'.repeat(65), `${'a'.repeat(64)}\n`])('parseCid refuses %j', (hex) => {
  expect(() => parseCid(hex)).toThrow(expect.objectContaining({ code: 'DV_CID_INVALID' }));
});
