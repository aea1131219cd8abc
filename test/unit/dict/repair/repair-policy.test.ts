import { expect, test } from 'vitest';
import { NO_EVIDENCE_NEEDED } from '../../../../src/dict/repair/removal-evidence.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import {
  addDivergences,
  countReconciliation,
  readReconciliation,
} from '../../../../src/dict/log/reconciliation-log.ts';
import { applyFindings } from '../../../../src/dict/repair/repair-policy.ts';
import { readVSync } from '../../../../src/dict/vsync/vsync-store.ts';
import { inTransaction } from '../../../../src/engine/index.ts';
import { damage } from '../../../../src/simulator/index.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, asStored, keys, stored } from '../entry/entries.ts';
import { KEY_TYPE, beginRound, content, hex, shown } from './repair-support.ts';

const database = useTestDatabase();
const [entry, second, third] = keys(KEY_TYPE, 3) as [Entry, Entry, Entry];
/** The same key as DICT has it. */
const asDict: Entry = { ...entry, name: 'João Renomeado', tradeName: null, branch: null, openingDate: null };

const present = async () =>
  (await stored(database.pool)).filter(({ removed }) => !removed).map(({ cid }) => cid);

test('in DICT, not local: added exactly as DICT has it', async () => {
  const { dict, repair, divergences } = await beginRound(database.pool, {
    dict: [entry, second],
    local: [second],
  });
  const changes = await repair();
  const [row] = await divergences();
  expect(row).toMatchObject({
    side: 'DICT_ONLY',
    key: entry.key,
    decision: 'ADDED',
    why: null,
    before: null,
  });
  expect(content(row!.after)).toEqual(shown(entry));
  expect(row!.correlationId).toBe(dict.ledger.calls('getEntryByCid').at(-1)!.correlationId);
  expect(changes).toEqual([{ decision: 'ADDED', key: entry.key, before: null, after: row!.after }]);
  const [added] = (await stored(database.pool)).filter(({ key }) => key === entry.key);
  expect(added).toEqual(asStored(entry));
});

test('local, not in DICT: removed softly after DICT said 404', async () => {
  const { dict, repair, divergences } = await beginRound(database.pool, {
    dict: [second],
    local: [entry, second],
  });
  const changes = await repair();
  const [row] = await divergences();
  expect(row).toMatchObject({ side: 'LOCAL_ONLY', key: entry.key, decision: 'REMOVED', after: null });
  expect(content(row!.before)).toEqual(shown(entry));
  expect(row!.correlationId).toBe(dict.ledger.calls('getEntryByCid').at(-1)!.correlationId);
  expect(changes).toEqual([{ decision: 'REMOVED', key: entry.key, before: row!.before, after: null }]);
  expect(await present()).toEqual([hex(second)]);
  expect(await stored(database.pool)).toHaveLength(2);
});

test('in both with other values: corrected, both CIDs decided as one change, with one lookup', async () => {
  const { dict, runId, repair, divergences } = await beginRound(database.pool, {
    dict: [asDict],
    local: [entry],
  });
  const changes = await repair();
  const rows = await divergences();
  expect(rows).toMatchObject([
    { side: 'DICT_ONLY', cid: hex(asDict), key: entry.key, decision: 'CORRECTED' },
    { side: 'LOCAL_ONLY', cid: hex(entry), key: entry.key, decision: 'CORRECTED' },
  ]);
  for (const row of rows) {
    expect(content(row.before)).toEqual(shown(entry));
    expect(content(row.after)).toEqual(shown(asDict));
  }
  expect(changes).toEqual([
    { decision: 'CORRECTED', key: entry.key, before: rows[0]!.before, after: rows[0]!.after },
  ]);
  expect(await present()).toEqual([hex(asDict)]);
  expect(dict.ledger.count('getEntryByCid')).toBe(1);
  const { rows: log } = await database.pool.query(
    "select encode(cid, 'hex') as cid, left_why from dict.cid_log",
  );
  expect(log).toEqual([{ cid: hex(entry), left_why: `reconciliation ${runId}` }]);
});

test('a key that was softly removed comes back with what DICT has', async () => {
  const round = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  await database.pool.query('update dict.entries set removed_at = now()');
  const { repair, divergences } = await round.next();
  expect(await repair()).toMatchObject([{ decision: 'ADDED', key: entry.key, before: null }]);
  const rows = await divergences();
  expect(rows).toMatchObject([{ side: 'DICT_ONLY', decision: 'ADDED', before: null }]);
  expect(content(rows[0]!.after)).toEqual(shown(asDict));
  expect(await present()).toEqual([hex(asDict)]);
});

test('a damaged base becomes what DICT has, and the log counts keys by kind', async () => {
  const dictHas = keys(KEY_TYPE, 300);
  const { local, plan } = damage(dictHas, { perType: 90, seed: 4 });
  const { dict, runId, repair } = await beginRound(database.pool, { dict: dictHas, local });
  const changes = await repair();
  expect(changes).toHaveLength(90);
  expect(new Set((await stored(database.pool)).filter(({ removed }) => !removed))).toEqual(
    new Set(dictHas.map(asStored)),
  );
  expect((await readVSync(database.pool, ISPB, KEY_TYPE)).vsync).toBe(
    dict.directory.set(ISPB, KEY_TYPE).vsync(),
  );
  await countReconciliation(database.pool, runId);
  const { dictOnly, localOnly, changed } = plan[KEY_TYPE];
  expect(await readReconciliation(database.pool, runId)).toMatchObject({
    dictOnlyCids: dictOnly + changed,
    localOnlyCids: localOnly + changed,
    keysAdded: dictOnly,
    keysRemoved: localOnly,
    keysCorrected: changed,
    keysInFlight: 0,
  });
});

test('a CID that DICT no longer has is superseded', async () => {
  const { dict, repair, divergences } = await beginRound(database.pool, {
    dict: [entry, second],
    local: [second],
  });
  dict.directory.updateEntry({ participant: ISPB, key: entry.key }, { accountNumber: '777' });
  expect(await repair()).toEqual([]);
  expect(await divergences()).toMatchObject([
    { decision: 'SUPERSEDED', why: 'DICT no longer has this CID', after: null },
  ]);
  expect(await present()).toEqual([hex(second)]);
});

test('when DICT has a local CID after all, it is superseded and nothing is removed', async () => {
  const { dict, repair, divergences } = await beginRound(database.pool, {
    dict: [second],
    local: [entry, second],
  });
  dict.directory.createEntry(entry);
  expect(await repair()).toEqual([]);
  expect(await divergences()).toMatchObject([
    { side: 'LOCAL_ONLY', key: entry.key, decision: 'SUPERSEDED', why: 'DICT has this CID after all' },
  ]);
  expect(await present()).toHaveLength(2);
});

test('an entry with another CID than asked for is quarantined, and its key is not removed either', async () => {
  const { dict, repair, divergences } = await beginRound(database.pool, {
    dict: [asDict, second],
    local: [entry, third],
  });
  dict.faults.on({
    kind: 'nonsense',
    operation: 'getEntryByCid',
    change: (answer) => ({ ...answer, entry: { ...(answer['entry'] as Entry), name: 'Joao' } }),
  });
  expect(await repair()).toMatchObject([{ decision: 'REMOVED', key: third.key }]);
  const byKey = new Map((await divergences()).map((row) => [`${row.key} ${row.side}`, row]));
  expect(byKey.get(`${entry.key} DICT_ONLY`)).toMatchObject({
    decision: 'QUARANTINED',
    why: 'the entry from DICT has another CID',
    after: null,
  });
  const local = byKey.get(`${entry.key} LOCAL_ONLY`);
  expect(local).toMatchObject({
    decision: 'QUARANTINED',
    why: 'DICT has this key, with an entry that cannot be used',
  });
  expect(content(local!.before)).toEqual(shown(entry));
  expect(byKey.get(`${second.key} DICT_ONLY`)!.decision).toBe('QUARANTINED');
  expect(await present()).toEqual([hex(entry)]);
});

test('of two entries for one key the first is taken, the other quarantined', async () => {
  const { runId, round, find, apply, divergences } = await beginRound(database.pool, {
    dict: [entry],
    local: [],
  });
  const { findings } = await find();
  const cid = Buffer.from(hex(asDict), 'hex');
  await addDivergences(database.pool, runId, round, [{ side: 'DICT_ONLY', cid }]);
  const other = { ...findings[0]!, says: 'ENTRY' as const, cid, entry: asDict };
  expect(await apply([...findings, other])).toHaveLength(1);
  expect(new Set((await divergences()).map(({ decision, why }) => `${decision} ${why}`))).toEqual(
    new Set(['ADDED null', 'QUARANTINED DICT sent two entries for one key']),
  );
  expect(await present()).toEqual([hex(entry)]);
});

test('when applied twice, the second time changes nothing', async () => {
  const base = { dict: [asDict, second], local: [entry, third] };
  const { find, apply, divergences } = await beginRound(database.pool, base);
  const dictSide = (await find()).findings;
  expect(await apply(dictSide)).toHaveLength(2);
  const localSide = (await find()).findings;
  expect(await apply(localSide)).toHaveLength(1);
  const before = { rows: await stored(database.pool), divergences: await divergences() };
  expect(await apply([...dictSide, ...localSide])).toEqual([]);
  expect({ rows: await stored(database.pool), divergences: await divergences() }).toEqual(before);
});

test('when applied twice within one transaction, the second time changes nothing', async () => {
  const { runId, round, find, decisions } = await beginRound(database.pool, {
    dict: [asDict],
    local: [entry],
  });
  const { findings } = await find();
  const scope = { runId, round, participant: ISPB, keyType: KEY_TYPE } as const;
  await inTransaction(database.pool, async (tx) => {
    expect(await applyFindings(tx, scope, findings, NO_EVIDENCE_NEEDED)).toHaveLength(1);
    expect(await applyFindings(tx, scope, findings, NO_EVIDENCE_NEEDED)).toEqual([]);
  });
  expect(await decisions()).toEqual(['DICT_ONLY CORRECTED', 'LOCAL_ONLY CORRECTED']);
});

test('both sides in one call are still one change of a key', async () => {
  const { find, apply, decisions } = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  const { findings } = await find();
  const local = {
    cid: Buffer.from(hex(entry), 'hex'),
    side: 'LOCAL_ONLY',
    says: 'ABSENT',
    correlationId: null,
  } as const;
  expect(await apply([local, ...findings])).toMatchObject([{ decision: 'CORRECTED' }]);
  expect(await decisions()).toEqual(['DICT_ONLY CORRECTED', 'LOCAL_ONLY CORRECTED']);
  expect(await present()).toEqual([hex(asDict)]);
});

test('a transaction that is rolled back leaves base, log and divergences as they were', async () => {
  const base = { dict: [asDict, second], local: [entry, third] };
  const { runId, round, find, divergences, repair } = await beginRound(database.pool, base);
  const before = { rows: await stored(database.pool), divergences: await divergences() };
  const { findings } = await find();
  const scope = { runId, round, participant: ISPB, keyType: KEY_TYPE } as const;
  const failing = inTransaction(database.pool, async (tx) => {
    await applyFindings(tx, scope, findings, NO_EVIDENCE_NEEDED);
    throw new Error('the step fails');
  });
  await expect(failing).rejects.toThrow('the step fails');
  expect({ rows: await stored(database.pool), divergences: await divergences() }).toEqual(before);
  expect(await repair()).toHaveLength(3);
  expect(new Set(await present())).toEqual(new Set([hex(asDict), hex(second)]));
});
