import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { VSync } from '../../../src/dict/vsync/vsync.ts';
import { CALL, ISPB, bridgeWithDict, collect, failure, keys } from './support.ts';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const DICT_ID = /^[0-9a-f]{32}$/;

test('createSyncVerification answers OK for the present base and NOK for another', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const base = keys('PHONE', 20);
  dict.directory.seed(base);
  const vsync = VSync.empty();
  for (const entry of base) vsync.xor(computeCid(entry));
  const ask = (hex: string) =>
    bridge.createSyncVerification({ participant: ISPB, keyType: 'PHONE', vsync: hex }, CALL);

  const ok = await ask(vsync.toHex());
  expect(ok).toEqual({
    id: '1',
    result: 'OK',
    correlationId: expect.stringMatching(DICT_ID) as string,
    responseTime: expect.stringMatching(TIME) as string,
  });
  expect(await ask(vsync.xor(computeCid(base[0]!)).toHex())).toMatchObject({ id: '2', result: 'NOK' });
  const empty = { participant: ISPB, keyType: 'EVP', vsync: '0'.repeat(64) } as const;
  expect(await bridge.createSyncVerification(empty, CALL)).toMatchObject({ result: 'OK' });
});

test('a requested file becomes available, and downloads with its bytes and sha256', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const base = keys('EMAIL', 3000);
  dict.directory.seed(base);
  const asked = await bridge.createCidSetFile({ participant: ISPB, keyType: 'EMAIL' }, CALL);
  expect(asked).toMatchObject({ id: '1', status: 'REQUESTED', participant: ISPB, keyType: 'EMAIL' });
  expect(asked.bytes).toBeUndefined();

  const file = await bridge.getCidSetFile({ participant: ISPB, id: asked.id }, CALL);
  expect(file).toMatchObject({ status: 'AVAILABLE', bytes: 65 * 3000, requestTime: asked.requestTime });
  const content = await collect(
    bridge.downloadCidSetFile({ participant: ISPB, id: asked.id, offset: 0 }, CALL),
  );
  expect(content).toHaveLength(file.bytes!);
  expect(createHash('sha256').update(content).digest('hex')).toBe(file.sha256);
  const lines = content.toString('latin1').trimEnd().split('\n');
  const cids = base.map((entry) => computeCid(entry).toString('hex'));
  expect(lines.toSorted()).toEqual(cids.toSorted());
  expect(lines).not.toEqual(cids);
});

test('listCidSetEvents gives the events between two times with the verifiers', async () => {
  let now = Date.UTC(2026, 0, 10, 10);
  const { bridge, dict } = await bridgeWithDict({ clock: () => now });
  const [first, second] = keys('CPF', 2) as [ReturnType<typeof keys>[0], ReturnType<typeof keys>[0]];
  dict.directory.createEntry(first);
  now += 1000;
  dict.directory.createEntry(second);
  const cids = [first, second].map((entry) => computeCid(entry));
  const about = { participant: ISPB, keyType: 'CPF' } as const;

  const page = await bridge.listCidSetEvents(about, CALL);
  expect(page).toMatchObject({
    ...about,
    hasMoreElements: false,
    startTime: '2026-01-10T10:00:00.000Z',
    endTime: '2026-01-10T10:00:01.000Z',
    syncVerifierStart: cids[0]!.toString('hex'),
    syncVerifierEnd: VSync.empty().xor(cids[0]!).xor(cids[1]!).toHex(),
    events: [
      { type: 'ADDED', cid: cids[0]!.toString('hex'), timestamp: '2026-01-10T10:00:00.000Z' },
      { type: 'ADDED', cid: cids[1]!.toString('hex'), timestamp: '2026-01-10T10:00:01.000Z' },
    ],
  });
  const limited = await bridge.listCidSetEvents({ ...about, limit: 1 }, CALL);
  expect(limited.hasMoreElements).toBe(true);
  expect(limited.events).toHaveLength(1);
  const window = { startTime: '2026-01-10T10:00:00.001Z', endTime: '2026-01-10T10:00:00.999Z' };
  expect((await bridge.listCidSetEvents({ ...about, ...window }, CALL)).events).toEqual([]);
});

test('getEntryByCid gives the entry byte for byte, with nulls and its request id', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const decomposed = { ...keys('PHONE', 1)[0]!, name: 'João da Conceição'.normalize('NFD'), branch: null };
  const base = [...keys('CNPJ', 30), decomposed];
  dict.directory.seed(base);
  for (const entry of base) {
    const cid = computeCid(entry).toString('hex');
    const found = await bridge.getEntryByCid({ participant: ISPB, cid: cid.toUpperCase() }, CALL);
    expect(found.cid).toBe(cid);
    expect(found.entry).toEqual(entry);
    expect(found.creationDate).toMatch(TIME);
  }
});

test('createEntry registers once, however often it is sent; an EVP gets its key from DICT', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const entry = keys('CNPJ', 1)[0]!;
  const request = { entry, reason: 'RECONCILIATION' } as const;
  const made = await bridge.createEntry(request, CALL);
  expect(made.entry).toEqual(entry);
  const again = await bridge.createEntry(request, CALL);
  expect(again).toMatchObject({ entry, creationDate: made.creationDate });
  expect(dict.directory.set(ISPB, 'CNPJ').size).toBe(1);

  const evp = { ...entry, keyType: 'EVP', key: '', requestId: randomUUID() } as const;
  const first = await bridge.createEntry({ entry: evp, reason: 'USER_REQUESTED' }, CALL);
  expect(first.entry.key).toMatch(/^[0-9a-f-]{36}$/);
  const second = await bridge.createEntry({ entry: evp, reason: 'USER_REQUESTED' }, CALL);
  expect(second.entry).toEqual(first.entry);
});

test('listPolicies gives the true state of the buckets', async () => {
  const { bridge } = await bridgeWithDict();
  await failure(bridge.getCidSetFile({ participant: ISPB, id: '77' }, CALL));
  const policies = await bridge.listPolicies({ participant: ISPB }, CALL);
  expect(policies).toHaveLength(7);
  expect(policies).toContainEqual({
    name: 'CIDS_FILES_READ',
    availableTokens: 49,
    capacity: 50,
    refillTokens: 10,
    refillPeriodSec: 60,
  });
  expect(policies).toContainEqual(expect.objectContaining({ name: 'POLICIES_LIST', availableTokens: 19 }));
});

test('the correlation id is sent along', async () => {
  const { bridge, dict } = await bridgeWithDict();
  await bridge.listPolicies({ participant: ISPB }, { correlationId: 'run-42' });
  expect(dict.ledger.calls('listPolicies')).toMatchObject([
    { callerCorrelationId: 'run-42', participant: ISPB, status: 200 },
  ]);
});
