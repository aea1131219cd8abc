import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import {
  childrenOf,
  divergences,
  expectBaseLikeDict,
  localBase,
  notifications,
  reconciliation,
} from '../../support/inspect.ts';
import { ISPB, startSystem, type System, type SystemOptions } from '../../support/system.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';

const changed = (entry: Entry): Entry => ({ ...entry, accountNumber: `${entry.accountNumber}1` });
const others = (count: number): Entry[] => [
  ...generateKeyBase({ participant: ISPB, keyTypes: ['CPF'], keysPerType: count, seed: 99 }),
];

/** Verifies, waits for the reconciliation that follows, and expects the base to be DICT's. */
async function repaired(options: SystemOptions): Promise<{ system: System; run: string }> {
  const system = await startSystem(options);
  const verification = await system.verify();
  await system.waitForClosed(verification);
  const run = (await childrenOf(system.pool, verification)).CPF!;
  expect(await system.waitForClosed(run)).toMatchObject({
    status: 'COMPLETED',
    state: 'in_sync',
    errorCode: null,
  });
  await expectBaseLikeDict(system);
  const { rows } = await system.pool.query(
    'select key_type, last_result from dict.sync_status where last_result is not null',
  );
  expect(rows).toEqual([{ key_type: 'CPF', last_result: 'OK' }]);
  return { system, run };
}

describe('a reconciliation repairs', () => {
  it('keys that only DICT has: added exactly as DICT has them', async () => {
    const { system, run } = await repaired({ local: (entries) => entries.slice(4) });
    expect(await reconciliation(system.pool, run)).toEqual({
      outcome: 'COMPLETED',
      reason: null,
      rounds: 1,
      dictOnly: 4,
      localOnly: 0,
      added: 4,
      corrected: 0,
      removed: 0,
      inFlight: 0,
      approvedBy: null,
      ended: true,
    });
    const found = await divergences(system.pool, run);
    const keys = system.entries.slice(0, 4).map(({ key }) => key);
    expect(new Set(found.map(({ key }) => key))).toEqual(new Set(keys));
    for (const { key, decision, before, after, cid } of found) {
      expect({ decision, before }).toEqual({ decision: 'ADDED', before: null });
      expect(after).toMatchObject({ key, cid, name: system.dict.directory.find(key!)!.entry.name });
    }
    expect(system.dict.ledger.count('getEntryByCid')).toBe(4);
  });

  it('keys that only the local base has: removed softly, with their content kept', async () => {
    const extra = others(3);
    const { system, run } = await repaired({ local: (entries) => [...entries, ...extra] });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      rounds: 1,
      dictOnly: 0,
      localOnly: 3,
      removed: 3,
    });
    const found = await divergences(system.pool, run);
    expect(found.map(({ decision }) => decision)).toEqual(['REMOVED', 'REMOVED', 'REMOVED']);
    expect(new Set(found.map(({ before }) => before?.name))).toEqual(new Set(extra.map(({ name }) => name)));

    const { rows } = await system.pool.query(
      `select e.key, e.name, l.left_why from dict.entries e join dict.cid_log l using (participant, key_type, key)
       where removed_at is not null order by key`,
    );
    const why = `reconciliation ${run}`;
    expect(rows).toEqual(
      extra.map(({ key, name }) => ({ key, name, left_why: why })).sort((a, b) => (a.key < b.key ? -1 : 1)),
    );
  });

  it('keys that both have with other values: corrected as one change of two CIDs', async () => {
    const { system, run } = await repaired({
      local: (entries) => [...entries.slice(5), ...entries.slice(0, 5).map(changed)],
    });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      rounds: 1,
      dictOnly: 5,
      localOnly: 5,
      added: 0,
      corrected: 5,
      removed: 0,
    });
    const found = await divergences(system.pool, run);
    expect(found).toHaveLength(10);
    for (const { key, decision, before, after } of found) {
      const inDict = system.dict.directory.find(key!)!.entry;
      expect(decision).toBe('CORRECTED');
      expect(before?.accountNumber).toBe(`${inDict.accountNumber}1`);
      expect(after?.accountNumber).toBe(inDict.accountNumber);
    }
  });

  it('all kinds of divergences in all five types simultaneously', async () => {
    const system = await startSystem({ keyTypes: KEY_TYPES, divergent: 9, keysPerType: 80 });
    const verification = await system.verify();
    await system.waitForClosed(verification);
    const children = await childrenOf(system.pool, verification);
    expect(Object.keys(children).sort()).toEqual([...KEY_TYPES].sort());
    for (const keyType of KEY_TYPES) {
      const run = children[keyType]!;
      expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED', parentId: verification });
      const { dictOnly, localOnly, changed: both } = system.plan[keyType];
      expect(await reconciliation(system.pool, run)).toMatchObject({
        rounds: 1,
        dictOnly: dictOnly + both,
        localOnly: localOnly + both,
        added: dictOnly,
        removed: localOnly,
        corrected: both,
      });
    }
    await expectBaseLikeDict(system);
    const { rows } = await system.pool.query('select last_result from dict.sync_status');
    expect(rows).toEqual(KEY_TYPES.map(() => ({ last_result: 'OK' })));
  });

  it('a repair of several chunks, with keys that were softly removed before', async () => {
    const system = await startSystem({
      keysPerType: 300,
      settings: {
        MANUAL_APPROVAL_THRESHOLD: '1000',
        APPROVAL_DAILY_KEYS: '1000',
        APPROVAL_BASE_PERCENT: '100',
      },
    });
    await system.pool.query('update dict.entries set removed_at = now()');
    expect(await localBase(system.pool)).toEqual(new Map());
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({ added: 300, corrected: 0 });
    const changes = (await notifications(system.pool)).filter(
      ({ type }) => type === 'reconciliation.changes',
    );
    expect(changes.length).toBeGreaterThan(1);
    expect(changes.flatMap(({ payload }) => payload['changes'] as unknown as unknown[])).toHaveLength(300);
  });

  it('a base of which DICT has no key: all are removed, once DICT has said so for each', async () => {
    const system = await startSystem({ keysPerType: 0, local: () => others(3) });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await localBase(system.pool)).toEqual(new Map());
    expect(await reconciliation(system.pool, run)).toMatchObject({ removed: 3, localOnly: 3 });
    expect(system.dict.ledger.calls('getEntryByCid').map(({ status }) => status)).toEqual([404, 404, 404]);
  });

  it('nothing where both sides are empty, because a file without a CID is legal', async () => {
    const system = await startSystem({ keysPerType: 0 });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'COMPLETED',
      rounds: 1,
      dictOnly: 0,
    });
  });
});
