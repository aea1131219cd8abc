import { describe, expect, test } from 'vitest';
import { readKeyEvent } from '../../../src/dict/key-base/key-event.ts';
import { at, bytes, ISPB, keyEvent, keys } from './support.ts';

const [entry] = keys('EMAIL', 1);
const [cpf] = keys('CPF', 1);
const created = keyEvent('key.created', entry!, at(1));

function changed(data: Record<string, unknown>, more: object = {}): Buffer {
  return bytes({ ...created, data: { ...created.data, ...data }, ...more });
}

test('a complete event gives the entry byte by byte', () => {
  expect(readKeyEvent(bytes(created))).toEqual({
    source: '/core',
    id: created.id,
    type: 'key.created',
    time: at(1),
    sequence: null,
    participant: ISPB,
    keyType: 'EMAIL',
    key: entry!.key,
    entry,
    reason: null,
  });
});

test('a deletion names the key and nothing else', () => {
  const event = readKeyEvent(bytes(keyEvent('key.deleted', cpf!, at(1))));
  expect(event).toMatchObject({ key: cpf!.key, entry: null, reason: null });
});

test('digits of a sequence compare as numbers', () => {
  const sequence = (value: unknown) => readKeyEvent(changed({}, { sequence: value }))?.sequence ?? '';
  expect(sequence('9') < sequence('10')).toBe(true);
  expect(sequence('a7')).toBe('a7');
  expect(sequence(7)).toBe('');
});

test('events of other types are ignored', () => {
  expect(readKeyEvent(changed({}, { type: 'claim.opened' }))).toBeUndefined();
});

test.each(['tradeName', 'branch', 'openingDate'])(
  '"" in the optional field %s is null, as many clients send it',
  (field) => {
    const event = readKeyEvent(changed({ [field]: '' }));
    expect(event).toMatchObject({ reason: null, entry: { [field]: null } });
  },
);

test('values that BACEN may add, a CNPJ with letters and wrong check digits are taken as they are', () => {
  const data = { ownerType: 'FOREIGN_PERSON', accountType: 'PPAY' };
  expect(readKeyEvent(changed(data))).toMatchObject({ reason: null, entry: data });
  const company = { keyType: 'CNPJ', ownerType: 'LEGAL_PERSON', tradeName: null };
  for (const key of ['12ABC34501DE35', '12ABC34501DE00', '11222333000150']) {
    const read = readKeyEvent(changed({ ...company, key, taxIdNumber: key }));
    expect(read).toMatchObject({ key, reason: null });
  }
});

describe('what cannot be used is refused by codes', () => {
  test.each([
    [{ requestId: undefined }, {}, 'REQUEST_ID_MISSING'],
    [{ requestId: null }, {}, 'REQUEST_ID_MISSING'],
    [{ requestId: '' }, {}, 'REQUEST_ID_MISSING'],
    [{ requestId: 'no uuid' }, {}, 'REQUEST_ID_INVALID'],
    [{ requestId: 7 }, {}, 'REQUEST_ID_INVALID'],
    [{ participant: '1234' }, {}, 'PARTICIPANT_INVALID'],
    [{ keyType: 'CAR' }, {}, 'KEY_TYPE_UNKNOWN'],
    [{ keyType: undefined }, {}, 'KEY_TYPE_UNKNOWN'],
    [{ key: undefined }, {}, 'KEY_MISSING'],
    [{ key: 'Not An Email' }, {}, 'KEY_INVALID'],
    [{ key: 'a\0b' }, {}, 'KEY_INVALID'],
    [{ name: '' }, {}, 'NAME_MISSING'],
    [
      { name: 'Joa\u0303o', ownerType: 'NATURAL_PERSON', taxIdNumber: '11122233300', tradeName: null },
      {},
      'NAME_INVALID',
    ],
    [{ ownerType: 'a cat' }, {}, 'OWNER_TYPE_INVALID'],
    [{ ownerType: 'C'.repeat(41) }, {}, 'OWNER_TYPE_INVALID'],
    [{ name: 'a\uD800' }, {}, 'NAME_INVALID'],
    [{ key: 'k'.repeat(12_000) }, {}, 'KEY_INVALID'],
    [{ branch: 'X' }, {}, 'BRANCH_INVALID'],
    [{ branch: 1 }, {}, 'BRANCH_INVALID'],
    [{ accountNumber: undefined, accountType: 'X' }, {}, 'ACCOUNT_NUMBER_MISSING,ACCOUNT_TYPE_INVALID'],
    [{ openingDate: 'yesterday' }, {}, 'OPENING_DATE_INVALID'],
    [{}, { time: undefined }, 'TIME_MISSING'],
    [{}, { time: '2026-02-30T00:00:00Z' }, 'TIME_INVALID'],
    [{}, { time: 1_767_312_000 }, 'TIME_INVALID'],
  ])('%j %j: %s', (data, more, reason) => {
    const event = readKeyEvent(changed(data, more));
    expect(event).toMatchObject({ id: created.id, entry: null, reason });
  });

  test('a deletion needs only the name of the key', () => {
    const deleted = (data: object) => readKeyEvent(bytes({ ...created, type: 'key.deleted', data }))?.reason;
    expect(deleted({ participant: ISPB, keyType: 'EMAIL', key: 'whatever it was' })).toBeNull();
    expect(deleted({ participant: ISPB, keyType: 'EMAIL', key: 'k'.repeat(78) })).toBe('KEY_INVALID');
    expect(deleted({})).toBe('PARTICIPANT_MISSING,KEY_TYPE_UNKNOWN,KEY_MISSING');
  });

  test.each([undefined, null, 'text', [1]])('data that is not an object is refused (%j)', (data) => {
    expect(readKeyEvent(bytes({ ...created, data }))?.reason).toMatch(/PARTICIPANT_MISSING/);
  });
});

describe('a message that is not a CloudEvent has no name to be recorded under', () => {
  test.each([
    ['nothing', ''],
    ['not JSON', '{'],
    ['not an object', '[]'],
    ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['another version', JSON.stringify({ ...created, specversion: '0.3' })],
    ['no id', JSON.stringify({ ...created, id: undefined })],
    ['an empty id', JSON.stringify({ ...created, id: '' })],
    ['an id with a NUL', JSON.stringify({ ...created, id: 'a\0' })],
    ['an id with half a character', JSON.stringify({ ...created, id: 'a\uD800' })],
    ['an endless id', JSON.stringify({ ...created, id: 'i'.repeat(501) })],
    ['no source', JSON.stringify({ ...created, source: 7 })],
    ['no type', JSON.stringify({ ...created, type: null })],
  ])('%s', (_, payload) => {
    expect(() => readKeyEvent(Buffer.from(payload))).toThrow(
      expect.objectContaining({ code: 'DV_KEY_EVENT_UNREADABLE' }) as Error,
    );
  });
});

test('neither a reason nor an error contains a value', () => {
  const secret = 'Segredo 99988877766';
  const all = Object.fromEntries(Object.keys(created.data).map((field) => [field, secret]));
  expect(readKeyEvent(changed(all))?.reason).not.toContain('9');
});
