import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { CALLER, ISPB, START, drivenDict, keys, problem } from './support.ts';

const OTHER = '87654321';
const cidOf = (entry: Parameters<typeof computeCid>[0]) => computeCid(entry).toString('hex');

test('createEntry is idempotent by RequestId and refuses the RequestId for anything else', async () => {
  const { dict, pass } = drivenDict();
  const { directory } = dict;
  const [entry, another] = keys('CNPJ', 2) as [ReturnType<typeof keys>[0], ReturnType<typeof keys>[0]];
  const first = directory.createEntry(entry);
  pass(1000);
  expect(directory.createEntry({ ...entry })).toBe(first);
  const create = (changes: object) => problem(() => directory.createEntry({ ...entry, ...changes }));
  expect(await create({ accountNumber: '1' })).toBe('400 RequestIdAlreadyUsed');
  const { key, taxIdNumber } = another;
  expect(await create({ key, taxIdNumber })).toBe('400 RequestIdAlreadyUsed');
  const requestId = randomUUID();
  expect(await create({ requestId })).toBe('400 EntryAlreadyExists');
  expect(await create({ requestId, participant: OTHER })).toBe('400 EntryKeyInCustodyOfDifferentParticipant');
  expect(await create({ requestId, name: '' })).toBe('400 EntryInvalid');
  const phone = keys('PHONE', 1)[0]!;
  directory.createEntry(phone);
  const stranger = { ...phone, requestId, taxIdNumber: keys('CPF', 1, 9)[0]!.key };
  expect(await problem(() => directory.createEntry(stranger))).toBe('400 EntryKeyOwnedByDifferentPerson');
  directory.deleteEntry(entry);
  expect(await create({ accountNumber: '1' })).toBe('400 RequestIdAlreadyUsed');
  // BACEN's text refuses a used RequestId only with other parameters.
  expect(directory.createEntry(entry).cid).toBe(first.cid);
  directory.updateEntry(entry, { accountNumber: '2' });
  expect(await create({})).toBe('400 EntryAlreadyExists');
  expect(directory.createEntry({ ...entry, accountNumber: '2' })).toBe(directory.find(entry.key));
});

test('updateEntry keeps the RequestId, changes the CID, and can bring an old one back', async () => {
  const { dict } = drivenDict();
  const { directory } = dict;
  const entry = keys('EMAIL', 1)[0]!;
  const { cid } = directory.createEntry(entry);
  const changed = directory.updateEntry(entry, { accountNumber: '42' });
  expect(changed.entry).toEqual({ ...entry, accountNumber: '42' });
  expect(changed.cid).toBe(cidOf(changed.entry));
  const find = (wanted: string) =>
    problem(() => dict.getEntryByCid({ participant: ISPB, cid: wanted }, CALLER));
  expect(await find(cid)).toBe('404 NotFound');
  expect(await find(changed.cid)).toBe('none');
  expect(directory.updateEntry(entry, { accountNumber: entry.accountNumber }).cid).toBe(cid);
  const { events } = await dict.listCidSetEvents({ participant: ISPB, keyType: 'EMAIL' }, CALLER);
  expect(events).toMatchObject([
    { type: 'ADDED', cid },
    { type: 'REMOVED', cid },
    { type: 'ADDED', cid: changed.cid },
    { type: 'REMOVED', cid: changed.cid },
    { type: 'ADDED', cid },
  ]);
  directory.updateEntry(entry, { openingDate: '2001-02-03T03:00:00.000Z' });
  expect(directory.find(entry.key)!.entry.openingDate).toBe('2001-02-03T03:00:00.000Z');
  expect(
    (await dict.listCidSetEvents({ participant: ISPB, keyType: 'EMAIL' }, CALLER))['events'],
  ).toHaveLength(5);
});

test('an EVP is updated with reason RFB_VALIDATION only, and only by its participant', async () => {
  const { directory } = drivenDict().dict;
  const entry = keys('EVP', 1)[0]!;
  directory.createEntry(entry);
  expect(await problem(() => directory.updateEntry(entry, { branch: '1' }))).toBe('400 InvalidReason');
  expect(directory.updateEntry(entry, { branch: '1' }, 'RFB_VALIDATION').entry.branch).toBe('1');
  const others = { participant: OTHER, key: entry.key };
  expect(await problem(() => directory.deleteEntry(others))).toBe('403 Forbidden');
  expect(await problem(() => directory.deleteEntry({ ...others, key: 'none' }))).toBe('404 NotFound');
});

test('a claim takes the key from the donor, and gives it to the claimer with a new RequestId', async () => {
  const { dict, pass } = drivenDict();
  const { directory } = dict;
  const entry = keys('PHONE', 1)[0]!;
  directory.createEntry(entry);
  const claim = { donor: ISPB, claimer: OTHER, key: entry.key };
  const claimed = { ...entry, participant: OTHER, requestId: randomUUID() };
  expect(await problem(() => directory.completeClaim(claimed))).toBe('400 ClaimOperationInvalid');
  pass(1000);
  directory.confirmClaim(claim);
  expect(directory.find(entry.key)).toBeUndefined();
  expect([directory.set(ISPB, 'PHONE').size, directory.set(OTHER, 'PHONE').size]).toEqual([0, 0]);
  const again = { ...entry, requestId: randomUUID() };
  expect(await problem(() => directory.createEntry(again))).toBe('400 EntryLockedByClaim');
  pass(1000);
  const stored = directory.completeClaim(claimed);
  expect(stored).toMatchObject({ cid: cidOf(claimed), createdAt: START + 2000, ownedSince: START });
  expect(directory.completeClaim(claimed)).toBe(stored);
  expect(await problem(() => directory.completeClaim({ ...claimed, branch: '7' }))).toBe(
    '400 RequestIdAlreadyUsed',
  );
  const types = async (participant: string) => {
    const page = await dict.listCidSetEvents({ participant, keyType: 'PHONE' }, CALLER);
    return (page['events'] as { type: string }[]).map((event) => event.type);
  };
  expect(await types(ISPB)).toEqual(['ADDED', 'REMOVED']);
  expect(await types(OTHER)).toEqual(['ADDED']);

  const evp = keys('EVP', 1)[0]!;
  directory.createEntry(evp);
  expect(await problem(() => directory.confirmClaim({ ...claim, key: evp.key }))).toBe('400 ClaimInvalid');
});

test('seeding makes no events, accepts what DICT would refuse today, and comes before anything else', async () => {
  const { dict } = drivenDict();
  const { directory } = dict;
  const base = keys('PHONE', 3);
  const odd = { ...base[0]!, name: 'Joa\u0303o', branch: '00001' };
  expect(directory.seed([odd, base[1]!])).toBe(2);
  expect(directory.find(odd.key)!.cid).toBe(cidOf(odd));
  expect((await dict.listCidSetEvents({ participant: ISPB, keyType: 'PHONE' }, CALLER))['events']).toEqual(
    [],
  );
  expect(() => directory.seed([base[1]!])).toThrow(DvError);
  directory.createEntry(base[2]!);
  expect(() => directory.seed(keys('PHONE', 1, 2))).toThrow(DvError);
});
