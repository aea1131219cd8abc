import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { coded } from '../../contract/sql/support.ts';
import {
  changeLocally,
  divergences,
  expectBaseLikeDict,
  localBase,
  notifications,
  reconciliation,
} from '../../support/inspect.ts';
import { ISPB, type System, type SystemOptions } from '../../support/system.ts';
import { quickSystem, stateOf } from './support.ts';

const lost = (count: number, keyTypes: SystemOptions['keyTypes'] = ['CPF']): Entry[] => [
  ...generateKeyBase({ participant: ISPB, keyTypes, keysPerType: count, seed: 99 }),
];

/** A reconciliation that waits for a person, with these keys in the local base only. */
async function waiting(
  extra: readonly Entry[],
  options: SystemOptions = {},
): Promise<{ system: System; run: string }> {
  const system = await quickSystem({
    keysPerType: 20,
    local: (entries) => [...entries, ...extra],
    ...options,
    settings: { MANUAL_APPROVAL_THRESHOLD: '0', ...options.settings },
  });
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  return { system, run };
}

async function register({ pool }: System, run: string, keys: readonly string[] | null): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select dict.register_local_only($1, $2, 'ana', 'lost in the migration')::integer as n`,
    [run, keys],
  );
  return rows[0]!.n;
}

async function approve({ pool }: System, run: string): Promise<void> {
  await pool.query(`select dict.approve_reconciliation($1, 'ana', 'looked at it')`, [run]);
}

describe('a local-only key that a person wants registered', () => {
  it('it is registered at DICT as it is here, and the base is in sync', async () => {
    const extra = lost(3);
    const { system, run } = await waiting(extra);
    expect(await register(system, run, null)).toBe(3);
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(system.dict.ledger.count('createEntry')).toBe(3);

    const found = await divergences(system.pool, run);
    expect(found.map(({ decision }) => decision)).toEqual(['REGISTERED', 'REGISTERED', 'REGISTERED']);
    for (const { key, before: was, after } of found) {
      const { entry, cid } = system.dict.directory.find(key!)!;
      expect(entry.requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
      expect(entry.requestId).not.toBe(was!.requestId);
      const { requestId } = entry;
      const openingDate = expect.any(String) as string;
      expect(after).toEqual({ ...was, requestId, cid, openingDate });
    }
    expect(await reconciliation(system.pool, run)).toMatchObject({ removed: 0 });
    const { rows } = await system.pool.query(
      'select keys_registered::integer as n, plan_by, plan_why from dict.reconciliations join dict.key_changes using (run_id) limit 1',
    );
    expect(rows).toEqual([{ n: 3, plan_by: 'ana', plan_why: 'lost in the migration' }]);
    const published = await notifications(system.pool);
    const changes = published.find(({ type }) => type === 'reconciliation.changes')!.payload['changes'];
    expect(changes).toHaveLength(3);
    const atDict = system.dict.directory.find(extra[0]!.key)!;
    expect(changes).toContainEqual(
      expect.objectContaining({
        decision: 'REGISTERED',
        key: extra[0]!.key,
        before: expect.objectContaining({ requestId: extra[0]!.requestId }) as unknown,
        after: expect.objectContaining({ requestId: atDict.entry.requestId, cid: atDict.cid }) as unknown,
      }),
    );
    const complete = published.find(({ type }) => type === 'reconciliation.complete')!;
    expect(complete.payload['summary']).toMatchObject({ keysRegistered: 3, keysRemoved: 0 });
  });

  it('it is registered again with a new RequestId though DICT had it before, and stays in sync', async () => {
    const system = await quickSystem({ keysPerType: 20, settings: { MANUAL_APPROVAL_THRESHOLD: '0' } });
    const [lostKey, ownKey] = system.entries;
    system.dict.directory.deleteEntry(lostKey!);
    system.dict.directory.deleteEntry(ownKey!);
    const again = await system.reconcile();
    await system.waitForRun(again, ({ status }) => status === 'WAITING');
    await register(system, again, [lostKey!.key]);
    await approve(system, again);
    expect(await system.waitForClosed(again)).toMatchObject({ status: 'COMPLETED', errorCode: null });
    await expectBaseLikeDict(system);
    expect(system.dict.directory.find(lostKey!.key)!.entry.requestId).not.toBe(lostKey!.requestId);
    expect(system.dict.directory.find(ownKey!.key)).toBeUndefined();
    // The log of CIDs has the replaced one, and the next verification finds nothing to do.
    const { rows } = await system.pool.query(
      `select from dict.cid_log where key = $1 and left_why = 'reconciliation ' || $2`,
      [lostKey!.key, again],
    );
    expect(rows).toHaveLength(1);
    expect(await system.waitForClosed(await system.verify())).toMatchObject({ status: 'COMPLETED' });
  });

  it('it gets what DICT made of the entry, if that is not what was sent', async () => {
    const [extra] = lost(1);
    const { system, run } = await waiting([extra!]);
    const made = 'Nome da Receita';
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'createEntry',
      change: (answer) => {
        system.dict.directory.updateEntry(extra!, { name: made });
        return { ...answer, entry: { ...(answer['entry'] as Entry), name: made } };
      },
    });
    await register(system, run, null);
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect((await localBase(system.pool)).get(extra!.key)).toMatchObject({ name: made });
  });

  it('it is registered alone, and the others of the set are removed', async () => {
    const extra = lost(3);
    const { system, run } = await waiting(extra);
    expect(await register(system, run, [extra[1]!.key])).toBe(1);
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect([...(await localBase(system.pool)).keys()]).toContain(extra[1]!.key);
    expect(await reconciliation(system.pool, run)).toMatchObject({ removed: 2 });
  });

  it('it stays as it is when DICT refuses, with the reason, and the run says so', async () => {
    const [extra] = lost(1);
    const { system, run } = await waiting([extra!]);
    system.dict.directory.createEntry({
      ...extra!,
      participant: '87654321',
      requestId: crypto.randomUUID(),
    });
    await register(system, run, null);
    const before = await stateOf(system);
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_REGISTRATION_REFUSED',
    });
    expect(await stateOf(system)).toEqual(before);
    const { rows } = await system.pool.query('select decision, key, why from dict.divergences');
    expect(rows).toEqual([
      {
        decision: 'REFUSED',
        key: extra!.key,
        why: 'DICT refused to register it: EntryKeyInCustodyOfDifferentParticipant',
      },
    ]);
    const failed = (await notifications(system.pool)).find(({ payload }) => payload['event'] === 'FAILED');
    expect(failed?.payload['reason']).toContain('DV_REGISTRATION_REFUSED');
  });

  it('if it changes before the approval it is in flight, and neither registered nor removed', async () => {
    const [extra] = lost(1);
    const { system, run } = await waiting([extra!]);
    await register(system, run, null);
    await changeLocally(system.pool, extra!.key, { name: 'Zuleica Quintanilha' });
    await approve(system, run);
    // The next round finds it with its new CID, which nobody approved.
    await expect
      .poll(
        async () => (await divergences(system.pool, run)).map(({ round, decision }) => ({ round, decision })),
        { timeout: 20_000 },
      )
      .toEqual([
        { round: 1, decision: 'IN_FLIGHT' },
        { round: 2, decision: 'PENDING' },
      ]);
    expect(system.dict.ledger.count('createEntry')).toBe(0);
    expect((await localBase(system.pool)).has(extra!.key)).toBe(true);
  });

  it('it is still registered after a late approval compared again', async () => {
    const { system, run } = await waiting(lost(2));
    await register(system, run, null);
    await system.advance('61 minutes');
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 2, removed: 0 });
    await expectBaseLikeDict(system);
    expect(system.dict.ledger.count('createEntry')).toBe(2);
  });

  it('when both have the key with other values, it is not registered but corrected, as one change', async () => {
    const system = await quickSystem({
      keysPerType: 20,
      local: ([first, ...rest]) => [{ ...first!, accountNumber: '00777001' }, ...rest],
      settings: { MANUAL_APPROVAL_THRESHOLD: '0' },
    });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    await expect(register(system, run, null)).rejects.toMatchObject({ detail: 'DV_KEY_NOT_IN_SET' });
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(system.dict.ledger.count('createEntry')).toBe(0);
    const { rows } = await system.pool.query(
      'select decision, local_cid <> dict_cid as two, before, after from dict.key_changes',
    );
    const { accountNumber } = system.entries[0]!;
    expect(rows).toMatchObject([
      { decision: 'CORRECTED', two: true, before: { accountNumber: '00777001' }, after: { accountNumber } },
    ]);
  });

  it('it is registered once, though the first answer made no sense and the run failed', async () => {
    const { system, run } = await waiting(lost(1));
    system.dict.faults.on({ kind: 'nonsense', operation: 'createEntry', times: 1 });
    await register(system, run, null);
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ errorCode: 'DV_BRIDGE_NONSENSE' });
    await system.pool.query('select workflow.retry($1)', [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect((await divergences(system.pool, run)).map(({ decision }) => decision)).toEqual(['REGISTERED']);
    expect(system.dict.ledger.calls('createEntry').map(({ status }) => status)).toEqual([200, 200]);
  });

  it('it is quarantined when DICT fails on it again and again, neither registered nor removed', async () => {
    const { system, run } = await waiting(lost(1));
    system.dict.faults.on({ kind: 'problem', operation: 'createEntry', status: 500 });
    await register(system, run, null);
    const before = await stateOf(system);
    await approve(system, run);
    const closed = await system.hurryToRun(run, ({ closedAt }) => closedAt !== null);
    expect(closed).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
    expect(await stateOf(system)).toEqual(before);
    expect(system.dict.ledger.count('createEntry')).toBe(3);
  });
});

describe('registering is refused', () => {
  it('for keys that are not in the set, when unsigned, and when nothing waits', async () => {
    const extra = lost(1);
    const { system, run } = await waiting(extra);
    const inDict = system.entries[0]!.key;
    await expect(register(system, run, [extra[0]!.key, inDict])).rejects.toEqual(coded('DV_KEY_NOT_IN_SET'));
    const { rows } = await system.pool.query('select from dict.divergences where plan is not null');
    expect(rows).toHaveLength(0);
    await expect(
      system.pool.query(`select dict.register_local_only($1, null, 'ana', ' ')`, [run]),
    ).rejects.toEqual(coded('DV_DECISION_UNSIGNED'));
    await expect(register(system, crypto.randomUUID(), null)).rejects.toEqual(coded('DV_RUN_NOT_FOUND'));
    await approve(system, run);
    await system.waitForClosed(run);
    await expect(register(system, run, null)).rejects.toEqual(coded('DV_RUN_NOT_WAITING'));
  });

  it('for an EVP', async () => {
    const { system, run } = await waiting(lost(1, ['EVP']), { keyTypes: ['EVP'] });
    await expect(register(system, run, null)).rejects.toEqual(coded('DV_REGISTER_EVP'));
    await approve(system, run);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await reconciliation(system.pool, run)).toMatchObject({ removed: 1 });
  });

  it('when the set has no local-only key', async () => {
    const { system, run } = await waiting([], { local: (entries) => entries.slice(1) });
    await expect(register(system, run, null)).rejects.toEqual(coded('DV_KEY_NOT_IN_SET'));
  });
});
