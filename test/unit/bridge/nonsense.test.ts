import { expect, test } from 'vitest';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { textProblem } from '../../../src/dict/entry/entry-limits.ts';
import type { Bridge } from '../../../src/bridge/index.ts';
import type { Operation } from '../../../src/simulator/index.ts';
import { CALL, ISPB, bridgeWithDict, failure, keys } from './support.ts';

type Answer = Record<string, unknown>;

const entry = keys('PHONE', 1)[0]!;
const fresh = keys('CNPJ', 1)[0]!;
const cid = computeCid(entry).toString('hex');
const about = { participant: ISPB, keyType: 'PHONE' } as const;

const calls: Partial<Record<Operation, (bridge: Bridge) => Promise<unknown>>> = {
  createSyncVerification: (bridge) => bridge.createSyncVerification({ ...about, vsync: cid }, CALL),
  createCidSetFile: (bridge) => bridge.createCidSetFile(about, CALL),
  getCidSetFile: (bridge) => bridge.getCidSetFile({ participant: ISPB, id: '1' }, CALL),
  listCidSetEvents: (bridge) => bridge.listCidSetEvents(about, CALL),
  getEntryByCid: (bridge) => bridge.getEntryByCid({ participant: ISPB, cid }, CALL),
  createEntry: (bridge) => bridge.createEntry({ entry: fresh, reason: 'RECONCILIATION' }, CALL),
  listPolicies: (bridge) => bridge.listPolicies({ participant: ISPB }, CALL),
};

const inFile = (change: Answer) => (answer: Answer) => ({
  ...answer,
  file: { ...(answer['file'] as Answer), ...change },
});
const inEntry = (change: Answer) => (answer: Answer) => ({
  ...answer,
  entry: { ...(answer['entry'] as Answer), ...change },
});
const inPolicies = (change: Answer) => (answer: Answer) => ({
  ...answer,
  policies: [
    { availableTokens: 1, capacity: 1, refillTokens: 1, refillPeriodSec: 1, ...change },
    ...(answer['policies'] as Answer[]),
  ],
});
const event = (timestamp: string) => ({ type: 'ADDED', cid, timestamp });

const cases: [string, Operation, ((answer: Answer) => Answer)?][] = [
  ['a result that is neither OK nor NOK', 'createSyncVerification'],
  ['another participant', 'createSyncVerification', (a) => ({ ...a, participant: '87654321' })],
  ['another key type', 'createSyncVerification', (a) => ({ ...a, keyType: 'EMAIL' })],
  ['no id', 'createSyncVerification', (a) => ({ ...a, id: '' })],
  ['nothing', 'createSyncVerification', () => ({})],
  ['no status', 'createCidSetFile'],
  ['a status without end', 'getCidSetFile', inFile({ status: 'X'.repeat(101) })],
  ["another participant's file", 'createCidSetFile', inFile({ participant: '87654321' })],
  ['a file of another type', 'createCidSetFile', inFile({ keyType: 'CPF' })],
  ['no file', 'createCidSetFile', () => ({})],
  ['another file', 'getCidSetFile', inFile({ id: '2' })],
  ['AVAILABLE without bytes', 'getCidSetFile', inFile({ bytes: undefined })],
  ['AVAILABLE without sha256', 'getCidSetFile', inFile({ sha256: undefined })],
  ['AVAILABLE without its time', 'getCidSetFile', inFile({ creationTime: undefined })],
  ['a negative size', 'getCidSetFile', inFile({ bytes: -1 })],
  ['an invalid hash', 'getCidSetFile', inFile({ sha256: 'zz' })],
  ['an invalid time', 'getCidSetFile', inFile({ requestTime: 'yesterday' })],
  ['an invalid CID', 'listCidSetEvents'],
  [
    'an unknown event',
    'listCidSetEvents',
    (a) => ({ ...a, events: [{ ...event('2026-01-01T00:00:00Z'), type: 'X' }] }),
  ],
  ['another type of key', 'listCidSetEvents', (a) => ({ ...a, keyType: 'CPF' })],
  [
    'events out of order',
    'listCidSetEvents',
    (a) => ({ ...a, events: [event('2026-01-01T00:00:01Z'), event('2026-01-01T00:00:00Z')] }),
  ],
  ['events without a verifier', 'listCidSetEvents', (a) => ({ ...a, syncVerifierStart: undefined })],
  ['more after an empty page', 'listCidSetEvents', (a) => ({ ...a, events: [], hasMoreElements: true })],
  ['another CID', 'getEntryByCid'],
  ["another participant's entry", 'getEntryByCid', inEntry({ participant: '87654321' })],
  ['an entry without request id', 'getEntryByCid', inEntry({ requestId: '' })],
  ['an entry of an unknown type', 'getEntryByCid', inEntry({ keyType: 'PIGEON' })],
  ['an entry without account', 'getEntryByCid', inEntry({ accountNumber: '' })],
  ['an entry with NUL', 'getEntryByCid', inEntry({ name: 'Jo\0ão' })],
  ['an endless key', 'getEntryByCid', inEntry({ key: 'k'.repeat(12_000) })],
  ['an endless trade name', 'getEntryByCid', inEntry({ tradeName: 't'.repeat(201) })],
  ['an endless owner type', 'getEntryByCid', inEntry({ ownerType: 'O'.repeat(41) })],
  ['a branch with NUL', 'getEntryByCid', inEntry({ branch: '\0' })],
  ['a date that Postgres does not have', 'getEntryByCid', inEntry({ openingDate: '0000-01-01T00:00:00Z' })],
  ['an endless correlation id', 'getEntryByCid', (a) => ({ ...a, correlationId: 'c'.repeat(101) })],
  ['no entry', 'getEntryByCid', (a) => ({ ...a, entry: null })],
  ["another participant's new entry", 'createEntry'],
  ['another key', 'createEntry', inEntry({ key: '11222333000181' })],
  ['a negative number of tokens', 'listPolicies'],
  ['a token bucket of size 0', 'listPolicies', inPolicies({ name: 'ENTRIES_WRITE', capacity: 0 })],
  [
    'more tokens than Postgres counts',
    'listPolicies',
    inPolicies({ name: 'ENTRIES_WRITE', capacity: 2 ** 31 }),
  ],
];

test.each(cases)('%s (%s) is DV_BRIDGE_NONSENSE', async (_, operation, change) => {
  const { bridge, dict } = await bridgeWithDict();
  dict.directory.createEntry(entry);
  await bridge.createCidSetFile(about, CALL);
  dict.faults.on({ kind: 'nonsense', operation, ...(change && { change }) });
  const error = await failure(calls[operation]!(bridge));
  expect(error).toMatchObject({ code: 'DV_BRIDGE_NONSENSE', class: 'not_retryable' });
  expect(error.message).not.toContain(entry.key);
  dict.faults.clear();
  await calls[operation]!(bridge);
});

test('it keeps the correlation id of the answer', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'nonsense' });
  const error = await failure(calls.createSyncVerification!(bridge));
  expect(error.correlationId).toBe(dict.ledger.calls()[0]!.correlationId);
  expect(error.message).toContain('result');
});

test.each<[string, Answer, string]>([
  ['NUL', { name: 'Segredo\0' }, 'entry.name has a NUL character'],
  ['too much', { key: 'segredo'.repeat(12) }, 'entry.key is longer than 77 characters'],
])(
  'an entry with %s: the error names the field and the rule, and never the value',
  async (_, change, says) => {
    const { bridge, dict } = await bridgeWithDict();
    dict.directory.createEntry(entry);
    dict.faults.on({ kind: 'nonsense', operation: 'getEntryByCid', change: inEntry(change) });
    const error = await failure(bridge.getEntryByCid({ participant: ISPB, cid }, CALL));
    expect(error.message).toContain(`(${says})`);
    expect(JSON.stringify(error) + error.message).not.toMatch(/segredo/i);
  },
);

test('a text is counted in characters, as Postgres counts', () => {
  expect(textProblem('😀'.repeat(77), 77)).toBeUndefined();
  expect(textProblem('😀'.repeat(78), 77)).toBe('is longer than 77 characters');
  expect(textProblem('a\uD83D', 77)).toBe('is not well-formed Unicode');
});

test('what BACEN may add is taken as it is', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.directory.createEntry(entry);
  const change = {
    ownerType: 'FOREIGN_PERSON',
    accountType: 'PREPAID_ACCOUNT',
    branch: '00001',
    name: 'ã'.normalize('NFD').repeat(150),
  };
  dict.faults.on({ kind: 'nonsense', operation: 'getEntryByCid', change: inEntry(change) });
  expect((await bridge.getEntryByCid({ participant: ISPB, cid }, CALL)).entry).toMatchObject(change);

  dict.faults.on({ kind: 'nonsense', operation: 'getCidSetFile', change: inFile({ status: 'QUEUED' }) });
  await bridge.createCidSetFile(about, CALL);
  expect(await bridge.getCidSetFile({ participant: ISPB, id: '1' }, CALL)).toMatchObject({
    status: 'PROCESSING',
    unknownStatus: 'QUEUED',
  });

  const odd = inPolicies({ name: 'CIDS_PER_KEY_TYPE_PIGEON', capacity: -1 });
  dict.faults.on({ kind: 'nonsense', operation: 'listPolicies', change: odd });
  const listed = await bridge.listPolicies({ participant: ISPB }, CALL);
  expect(listed.map(({ name }) => name)).toContain('ENTRIES_WRITE');
  expect(listed.map(({ name }) => name)).not.toContain('CIDS_PER_KEY_TYPE_PIGEON');
});
