import { expect, test } from 'vitest';
import { SimulatedDict } from '../../../src/simulator/index.ts';
import { CALLER, ISPB, drivenDict, keys, problem } from './support.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const about = { participant: ISPB, keyType: 'PHONE' };
const cid = 'a'.repeat(64);

type Call = (dict: SimulatedDict, participant?: string) => Promise<unknown>;
const verify: Call = (dict, participant = ISPB) =>
  dict.createSyncVerification({ ...about, participant, vsync: cid }, CALLER);
const look: Call = (dict) => dict.getCidSetFile({ participant: ISPB, id: '9' }, CALLER);
const file: Call = (dict) => dict.createCidSetFile(about, CALLER);
const events: Call = (dict) => dict.listCidSetEvents(about, CALLER);
const entry: Call = (dict) => dict.getEntryByCid({ participant: ISPB, cid }, CALLER);
const policies: Call = (dict) => dict.listPolicies({ participant: ISPB }, CALLER);

async function callsUntilLimited(call: () => Promise<unknown>): Promise<number> {
  for (let calls = 0; ; calls++) if ((await problem(call)) === '429 RateLimited') return calls;
}

// BACEN's table: DICT API 2.6.1, section "Limitação de requisições".
test.each([
  ['createSyncVerification', verify, 50, 10, MINUTE],
  ['createCidSetFile', file, 200, 40, DAY],
  ['getCidSetFile', look, 50, 10, MINUTE],
  ['listCidSetEvents', events, 100, 20, MINUTE],
  ['getEntryByCid', entry, 36_000, 1200, MINUTE],
  ['listPolicies', policies, 20, 6, MINUTE],
] as const)('%s has a bucket of its size, refilled each period', async (_, call, size, refill, period) => {
  const { dict, pass } = drivenDict();
  expect(await callsUntilLimited(() => call(dict))).toBe(size);
  pass(period - 1);
  expect(await callsUntilLimited(() => call(dict))).toBe(0);
  pass(1);
  expect(await callsUntilLimited(() => call(dict))).toBe(refill);
  pass(1000 * period);
  expect(await callsUntilLimited(() => call(dict))).toBe(size);
});

test('speed refills faster, each participant has its own bucket, and limits can be off', async () => {
  const { dict, pass } = drivenDict({ speed: 60 });
  expect(await callsUntilLimited(() => verify(dict))).toBe(50);
  expect(await problem(() => verify(dict, '87654321'))).toBe('none');
  pass(1000);
  expect(await callsUntilLimited(() => verify(dict))).toBe(10);

  const unlimited = drivenDict({ limits: 'off' }).dict;
  for (let i = 0; i < 60; i++) expect(await problem(() => verify(unlimited))).toBe('none');
});

test.each([
  [400, 1],
  [404, 1],
  [503, 1],
  [500, 0],
] as const)('an answer with %i costs %i token', async (status, cost) => {
  const { dict } = drivenDict();
  dict.faults.on({ kind: 'problem', status, operation: 'getCidSetFile' });
  await problem(() => look(dict));
  expect(await dict.listPolicies({ participant: ISPB }, CALLER)).toMatchObject({
    policies: expect.arrayContaining([
      expect.objectContaining({ name: 'CIDS_FILES_READ', availableTokens: 50 - cost }),
    ]) as unknown,
  });
});

test('429 of an empty bucket has no Retry-After, 503 has one', async () => {
  const { dict } = drivenDict();
  await callsUntilLimited(() => policies(dict));
  await expect(policies(dict)).rejects.toMatchObject({ status: 429, retryAfterSec: undefined });
  dict.faults.on({ kind: 'problem', status: 503 });
  await expect(look(dict)).rejects.toMatchObject({ status: 503, retryAfterSec: 60 });
});

test('the ledger has every call with its answer', async () => {
  const { dict } = drivenDict({ participants: [ISPB] });
  const base = keys('PHONE', 1);
  dict.directory.seed(base);
  const known = dict.directory.find(base[0]!.key)!.cid;
  await dict.getEntryByCid({ participant: ISPB, cid: known }, { correlationId: 'run-1' });
  await problem(() => entry(dict));
  await problem(() => verify(dict, '87654321'));
  expect(dict.ledger.calls('getEntryByCid')).toMatchObject([
    { cid: known, status: 200, callerCorrelationId: 'run-1', problemType: undefined },
    { cid, status: 404, problemType: 'NotFound' },
  ]);
  expect(dict.ledger.calls().at(-1)).toMatchObject({
    operation: 'createSyncVerification',
    participant: '87654321',
    keyType: 'PHONE',
    status: 403,
  });
  expect([dict.ledger.count('getEntryByCid'), dict.ledger.count('listPolicies')]).toEqual([2, 0]);
});

test('it acts only for the participants named, or else those that were seeded, unless it is to act for any', async () => {
  const other = '87654321';
  const dict = new SimulatedDict();
  expect(await problem(() => verify(dict, ISPB))).toBe('403 Forbidden');
  dict.directory.seed(keys('PHONE', 1));
  expect(await problem(() => verify(dict, ISPB))).toBe('none');
  // What another participant registers at DICT does not let this caller act for it.
  dict.directory.createEntry({ ...keys('EMAIL', 1)[0]!, participant: other });
  expect(await problem(() => verify(dict, other))).toBe('403 Forbidden');
  const named = new SimulatedDict({ participants: [other] });
  named.directory.seed(keys('PHONE', 1));
  expect(await problem(() => verify(named, other))).toBe('none');
  expect(await problem(() => verify(named, ISPB))).toBe('403 Forbidden');
  expect(await problem(() => verify(drivenDict({ participants: 'any' }).dict, other))).toBe('none');
});

test('a request that DICT could not parse is a bad request', async () => {
  const { dict } = drivenDict();
  const bad = '400 BadRequest';
  expect(await problem(() => verify(dict, '1234567'))).toBe(bad);
  expect(await problem(() => dict.createCidSetFile({ ...about, keyType: 'PIGEON' }, CALLER))).toBe(bad);
  expect(await problem(() => dict.createSyncVerification({ ...about, vsync: 'ff' }, CALLER))).toBe(bad);
  for (const window of [{ limit: 0 }, { limit: 201 }, { startTime: 'noon' }]) {
    expect(await problem(() => dict.listCidSetEvents({ ...about, ...window }, CALLER))).toBe(bad);
  }
  const wrongReason = { entry: keys('CPF', 1)[0]!, reason: 'FRAUD' };
  expect(await problem(() => dict.createEntry(wrongReason, CALLER))).toBe('400 InvalidReason');
});
