import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, insert, keys, stored } from '../entry/entries.ts';
import { readRemovalEvidence } from '../../../../src/dict/repair/removal-evidence.ts';
import { CALL } from '../../bridge/support.ts';
import { KEY_TYPE, beginRound, hex } from './repair-support.ts';

const database = useTestDatabase();
const [entry, second, third] = keys(KEY_TYPE, 3) as [Entry, Entry, Entry];
const asDict: Entry = { ...entry, name: 'João Renomeado' };
const at = (key: Entry) => ({ participant: ISPB, key: key.key });
const present = async () =>
  (await stored(database.pool)).filter(({ removed }) => !removed).map(({ key }) => key);

describe('the local half of a key that changed at DICT since the snapshot', () => {
  it('it is not removed when its DICT half is superseded, while other keys that DICT lacks are', async () => {
    const { dict, repair, decisions, evidence } = await beginRound(database.pool, {
      dict: [asDict, second],
      local: [entry, second, third],
    });
    dict.directory.updateEntry(at(entry), { name: 'Outra Vez' });
    expect(await repair()).toMatchObject([{ decision: 'REMOVED', key: third.key }]);
    expect((await decisions()).sort()).toEqual([
      'DICT_ONLY SUPERSEDED',
      'LOCAL_ONLY REMOVED',
      'LOCAL_ONLY SUPERSEDED',
    ]);
    expect(await present()).toEqual([entry.key, second.key].sort());
    expect(await evidence()).toMatchObject({
      cids: new Set([hex({ ...asDict, name: 'Outra Vez' })]),
      keys: new Set([entry.key]),
      unknown: [],
    });
  });

  it('it is not removed when only the addition is known', async () => {
    const { dict, evidence, apply, find } = await beginRound(database.pool, {
      dict: [second],
      local: [entry, second],
    });
    dict.directory.createEntry(asDict);
    const { findings } = await find();
    expect(findings).toMatchObject([{ side: 'LOCAL_ONLY', says: 'ABSENT' }]);
    expect(await apply(findings, await evidence())).toEqual([]);
    expect(await present()).toHaveLength(2);
  });

  it('it is not removed when its own CID came back after DICT answered 404', async () => {
    const { dict, evidence, apply, find } = await beginRound(database.pool, {
      dict: [second],
      local: [entry, second],
    });
    const { findings } = await find();
    dict.directory.createEntry(entry);
    expect(await apply(findings, await evidence())).toEqual([]);
    expect(await present()).toHaveLength(2);
  });

  it('a key that DICT has removed completely is removed, though its DICT half is superseded', async () => {
    const { dict, repair } = await beginRound(database.pool, { dict: [asDict], local: [entry] });
    dict.directory.deleteEntry(at(entry));
    expect(await repair()).toMatchObject([{ decision: 'REMOVED', key: entry.key }]);
  });
});

describe('while the recent additions are not certain, nothing is removed', () => {
  const base = { dict: [asDict], local: [entry, third] };

  it('when the log does not show the change yet', async () => {
    const { dict, repair, decisions } = await beginRound(database.pool, base);
    dict.faults.on({ kind: 'late_events', delayMs: 60_000 });
    dict.directory.updateEntry(at(entry), { name: 'Outra Vez' });
    expect(await repair()).toEqual([]);
    expect(new Set(await decisions())).toEqual(new Set(['DICT_ONLY SUPERSEDED', 'LOCAL_ONLY SUPERSEDED']));
  });

  it('when the Bridge has no event log, and a CID was superseded', async () => {
    const { dict, repair } = await beginRound(database.pool, base);
    dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 403 });
    dict.directory.updateEntry(at(entry), { name: 'Outra Vez' });
    expect(await repair()).toEqual([]);
  });

  it('when DICT fails on a recently added CID', async () => {
    const { dict, repair } = await beginRound(database.pool, base);
    dict.directory.updateEntry(at(entry), { name: 'Outra Vez' });
    const cid = hex({ ...asDict, name: 'Outra Vez' });
    dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', cid, status: 500 });
    expect(await repair()).toEqual([]);
  });
});

it('a recent addition for which DICT is unavailable each time is unknown, and does not stop the round', async () => {
  const { bridge, dict, scope } = await beginRound(database.pool, { dict: [second], local: [second, third] });
  dict.directory.createEntry(entry);
  dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', cid: hex(entry), status: 503 });
  const read = async (attempt: number) =>
    readRemovalEvidence(
      database.pool,
      bridge,
      scope,
      { attempt, enteredAt: new Date(), logUnavailable: false, proofFrom: undefined },
      CALL,
    );
  await expect(read(1)).rejects.toMatchObject({ code: 'DV_BRIDGE_UNAVAILABLE' });
  expect((await read(3)).unknown).toEqual([{ cid: hex(entry), key: null, passing: true }]);
});

it('when nothing was superseded, a Bridge without the event log does not prevent a removal', async () => {
  const { dict, repair } = await beginRound(database.pool, { dict: [second], local: [second, third] });
  dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 403 });
  expect(await repair()).toMatchObject([{ decision: 'REMOVED', key: third.key }]);
});

it('a recent addition that the base already has needs no lookup', async () => {
  const { dict, evidence } = await beginRound(database.pool, { dict: [], local: [] });
  for (const key of [entry, second]) dict.directory.createEntry(key);
  await insert(database.pool, [entry]);
  const before = dict.ledger.count('getEntryByCid');
  expect((await evidence()).keys).toEqual(new Set([second.key]));
  expect(dict.ledger.count('getEntryByCid') - before).toBe(1);
});
