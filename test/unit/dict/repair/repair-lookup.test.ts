import { expect, test } from 'vitest';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { lookUp, pendingDivergences } from '../../../../src/dict/repair/repair-lookup.ts';
import { readVSync } from '../../../../src/dict/vsync/vsync-store.ts';
import { DvError } from '../../../../src/errors/dv-error.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { CALL } from '../../bridge/support.ts';
import { ISPB, keys, stored } from '../entry/entries.ts';
import { KEY_TYPE, beginRound, hex } from './repair-support.ts';

const database = useTestDatabase();
/** Nothing is known of it yet. */
const unasked = { finding: null, failures: 0, plan: null };
const FULL_BUCKET = 36_000;
const NOW = Date.UTC(2026, 0, 10, 10);

const local = keys(KEY_TYPE, 60);
/** All of them have other values at DICT. */
const atDict = local.map((entry): Entry => ({ ...entry, accountNumber: `9${entry.accountNumber.slice(1)}` }));

const codeOf = (error: unknown) => (error instanceof DvError ? error.code : error);

test("first all of DICT's side is looked up, in batches of what is pending, in order of CID", async () => {
  const { runId, round, find, apply } = await beginRound(database.pool, { dict: atDict, local });
  const portion = await pendingDivergences(database.pool, runId, round, 25);
  expect(portion.map(({ side }) => side)).toEqual(Array.from({ length: 25 }, () => 'DICT_ONLY'));
  expect(portion.map(({ cid }) => cid.toString('hex'))).toEqual(atDict.map(hex).sort().slice(0, 25));
  const { findings } = await find();
  expect(findings).toHaveLength(60);
  await apply(findings.slice(0, 59));
  const rest = await pendingDivergences(database.pool, runId, round, 200);
  expect(rest.map(({ side }) => side)).toEqual(['DICT_ONLY']);
  await apply(findings);
  expect(await pendingDivergences(database.pool, runId, round, 200)).toEqual([]);
});

test('what was fetched before the limit was reached is applied, the rest stays pending and continues later', async () => {
  let now = NOW;
  const { dict, find, apply, decisions, repair } = await beginRound(
    database.pool,
    { dict: atDict, local },
    { limits: 'real', clock: () => now },
  );
  // All of the bucket but 20 tokens are gone.
  const nothing = dict.getEntryByCid({ participant: ISPB, cid: '0'.repeat(64) }, CALL);
  await expect(nothing).rejects.toMatchObject({ status: 404 });
  for (let used = 1; used < FULL_BUCKET - 20; used++) {
    await dict.getEntryByCid({ participant: ISPB, cid: hex(atDict[0]!) }, CALL);
  }
  const { findings, brokenOffBy } = await find();
  expect(codeOf(brokenOffBy)).toBe('DV_DICT_RATE_LIMITED');
  expect(findings.map(({ says }) => says)).toEqual(Array.from({ length: 20 }, () => 'ENTRY'));
  await apply(findings);
  expect((await decisions()).sort()).toEqual([
    ...Array.from({ length: 20 }, () => 'DICT_ONLY CORRECTED'),
    ...Array.from({ length: 40 }, () => 'DICT_ONLY PENDING'),
    ...Array.from({ length: 20 }, () => 'LOCAL_ONLY CORRECTED'),
    ...Array.from({ length: 40 }, () => 'LOCAL_ONLY PENDING'),
  ]);
  // No key is missing meanwhile.
  expect((await stored(database.pool)).filter(({ removed }) => removed)).toEqual([]);

  expect(await find()).toMatchObject({ findings: [] });
  now += 60_000;
  expect(await repair()).toHaveLength(40);
  expect((await readVSync(database.pool, ISPB, KEY_TYPE)).vsync).toBe(
    dict.directory.set(ISPB, KEY_TYPE).vsync(),
  );
});

test('an error like an outage ends the lookups, loses no other answer, and later only the rest is looked up', async () => {
  const { dict, find, apply, repair } = await beginRound(database.pool, { dict: atDict, local });
  const bad = hex(atDict[7]!);
  const fault = dict.faults.on({ kind: 'problem', status: 503, operation: 'getEntryByCid', cid: bad });
  const { findings, brokenOffBy } = await find();
  // DICT answers about another CID: it was no outage.
  expect(brokenOffBy).toBeUndefined();
  expect(findings.map(({ cid }) => cid.toString('hex'))).not.toContain(bad);
  const asked = dict.ledger.count('getEntryByCid');
  expect(findings).toHaveLength(asked - 2);
  await apply(findings);
  fault.off();
  expect(await repair()).toHaveLength(60 - findings.length);
  expect(dict.ledger.count('getEntryByCid')).toBe(62);
});

test('until every CID of DICT is looked up, no local one is removed, because it may be the other half', async () => {
  const { dict, find, apply, repair, decisions } = await beginRound(database.pool, {
    dict: atDict.slice(0, 3),
    local: local.slice(0, 3),
  });
  dict.faults.on({
    kind: 'problem',
    status: 503,
    operation: 'getEntryByCid',
    cid: hex(atDict[0]!),
    times: 1,
  });
  const { findings, failed } = await find();
  expect(failed).toBe(1);
  await apply(findings);
  expect((await stored(database.pool)).filter(({ removed }) => removed)).toEqual([]);
  await repair();
  expect(new Set(await decisions())).toEqual(new Set(['DICT_ONLY CORRECTED', 'LOCAL_ONLY CORRECTED']));
});

test('16 are looked up simultaneously, and a signal ends the lookups', async () => {
  const { bridge, dict, scope } = await beginRound(database.pool, { dict: atDict, local });
  dict.faults.on({ kind: 'hang', operation: 'getEntryByCid' });
  const stop = new AbortController();
  const asked = atDict.map((entry) => ({
    ...unasked,
    cid: Buffer.from(hex(entry), 'hex'),
    side: 'DICT_ONLY' as const,
  }));
  const asking = lookUp(database.pool, bridge, scope, asked, { ...CALL, signal: stop.signal });
  await expect.poll(() => dict.ledger.count('getEntryByCid')).toBe(16);
  stop.abort();
  const { findings, brokenOffBy } = await asking;
  expect(findings).toEqual([]);
  expect(codeOf(brokenOffBy)).toBe('DV_BRIDGE_CANCELLED');
  expect(dict.ledger.count('getEntryByCid')).toBe(16);
});

test("DICT's answer becomes a finding: the entry, 404, or why it cannot be used", async () => {
  const { bridge, dict, scope } = await beginRound(database.pool, { dict: atDict.slice(0, 3), local: [] });
  const [found, mangled, otherType] = atDict.map((entry) => ({
    ...unasked,
    cid: Buffer.from(hex(entry), 'hex'),
    side: 'DICT_ONLY' as const,
  }));
  const absent = { ...unasked, cid: Buffer.from(hex(local[9]!), 'hex'), side: 'LOCAL_ONLY' as const };
  dict.faults.on({
    kind: 'nonsense',
    cid: mangled!.cid.toString('hex'),
    change: (answer) => ({ ...answer, entry: { ...(answer['entry'] as Entry), branch: '0000' } }),
  });
  const asked = [found!, mangled!, absent];
  const { findings, brokenOffBy } = await lookUp(database.pool, bridge, scope, asked, CALL);
  expect(brokenOffBy).toBeUndefined();
  const byCid = new Map(findings.map((finding) => [finding.cid, finding]));
  expect(byCid.get(found!.cid)).toMatchObject({
    says: 'ENTRY',
    entry: atDict[0],
    correlationId: expect.any(String),
  });
  expect(byCid.get(mangled!.cid)).toMatchObject({ says: 'QUARANTINED', key: atDict[1]!.key });
  expect(byCid.get(absent.cid)).toMatchObject({ says: 'ABSENT', correlationId: expect.any(String) });

  const asEvp = await lookUp(database.pool, bridge, { ...scope, keyType: 'EVP' }, [otherType!], CALL);
  expect(asEvp.findings).toMatchObject([
    { says: 'QUARANTINED', why: 'the entry from DICT belongs to another participant or key type' },
  ]);
});

test('a CID with an impossible answer is quarantined at the third lookup, and the rest is repaired', async () => {
  const { dict, find, apply, decisions } = await beginRound(database.pool, {
    dict: atDict.slice(0, 3),
    local: [],
  });
  dict.faults.on({ kind: 'nonsense', operation: 'getEntryByCid', cid: hex(atDict[1]!) });
  const first = await find();
  expect(first).toMatchObject({ failed: 1, brokenOffBy: undefined });
  await apply(first.findings);
  expect(await find()).toMatchObject({ findings: [], failed: 1 });
  const third = await find();
  expect(third).toMatchObject({ findings: [{ says: 'QUARANTINED' }], failed: 0 });
  await apply(third.findings);
  expect((await decisions()).sort()).toEqual(['DICT_ONLY ADDED', 'DICT_ONLY ADDED', 'DICT_ONLY QUARANTINED']);
});
