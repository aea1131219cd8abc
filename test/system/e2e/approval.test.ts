import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { cancelRun, fromDatabase, historyOf } from '../../../src/engine/index.ts';
import {
  dictBase,
  expectBase,
  expectBaseLikeDict,
  received,
  notifications,
  reconciliation,
} from '../../support/inspect.ts';
import { isClosed, startSystem, type System, type SystemOptions } from '../../support/system.ts';

/** 150 divergent CIDs: keys that only DICT has. */
const CROSSED: SystemOptions = { keysPerType: 160, local: (entries) => entries.slice(150) };

/** Starts a reconciliation over the threshold; returns the waiting run and the hash of its set. */
async function waiting(
  options: SystemOptions = CROSSED,
): Promise<{ system: System; run: string; setHash: string }> {
  const system = await startSystem(options);
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  return { system, run, setHash: await setHashOf(system, run) };
}

async function setHashOf({ pool }: System, run: string): Promise<string> {
  const { rows } = await pool.query<{ hash: string }>(
    'select set_hash as hash from dict.rounds where run_id = $1 order by round desc limit 1',
    [run],
  );
  return rows[0]!.hash;
}

async function decide(
  { pool }: System,
  what: 'approve' | 'reject',
  run: string,
  by: string,
  reason: string,
  hash: string | null = null,
): Promise<void> {
  await pool
    .query(`select dict.${what}_reconciliation($1, $2, $3, $4)`, [run, by, reason, hash])
    .catch((error: unknown) => {
      throw fromDatabase(error);
    });
}

const createEntries = ({ dict }: System, entries: readonly Entry[]) =>
  entries.forEach((entry) => dict.directory.createEntry(entry));

describe('over the threshold', () => {
  it('a reconciliation waits, publishes that, applies nothing, and continues within a second of the approval', async () => {
    const { system, run, setHash } = await waiting();
    const [, asked] = (await notifications(system.pool)).filter(({ keyType }) => keyType === 'CPF');
    expect(asked).toMatchObject({
      type: 'reconciliation.notification',
      payload: {
        runId: run,
        event: 'APPROVAL_NEEDED',
        setHash,
        summary: { dictOnlyCids: 150, localOnlyCids: 0 },
      },
    });
    // Each CID was looked up before the question, and nothing was changed.
    expect(system.dict.ledger.count('getEntryByCid')).toBe(150);
    await expectBase(system, system.local);

    const approvedAt = performance.now();
    await decide(system, 'approve', run, 'ana', 'looked at it', setHash);
    await system.waitForRun(run, ({ state }) => state !== 'wait_approval' && state !== 'accept_approval');
    expect(performance.now() - approvedAt).toBeLessThan(1000);

    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    // And each again when it was applied.
    expect(system.dict.ledger.count('getEntryByCid')).toBe(300);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      rounds: 1,
      added: 150,
      approvedBy: 'ana',
    });
    const { rows } = await system.pool.query('select approved_why, approved_set from dict.reconciliations');
    expect(rows).toEqual([{ approved_why: 'looked at it', approved_set: setHash }]);
  });

  it('an approved run whose stored context cannot be read fails, repairs nothing, and says so', async () => {
    const { system, run, setHash } = await waiting();
    await system.pool.query(
      `update workflow.runs set context = context || '{"round": "first"}' where id = $1`,
      [run],
    );
    await decide(system, 'approve', run, 'ana', 'looked at it', setHash);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'FAILED', errorCode: 'DV_UNEXPECTED' });
    await expectBase(system, system.local);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'FAILED',
      added: 0,
      ended: true,
    });
    expect((await received(system.pool, run)).at(-1)).toBe('reconciliation.notification FAILED');
  });

  it('a waiting reconciliation survives a restart of the service, and applies nothing then either', async () => {
    const { system, run, setHash } = await waiting();
    await system.restartService();
    await system.advance('30 minutes');
    await system.waitForClosed(await system.verify());
    expect(await system.waitForRun(run, () => true)).toMatchObject({
      status: 'WAITING',
      state: 'wait_approval',
    });
    await expectBase(system, system.local);
    await decide(system, 'approve', run, 'ana', 'fine', setHash);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('exactly at the threshold nobody is asked, with one more somebody is', async () => {
    const settings = { MANUAL_APPROVAL_THRESHOLD: '10' };
    const at = await startSystem({ settings, local: (entries) => entries.slice(10) });
    expect(await at.waitForClosed(await at.reconcile())).toMatchObject({ status: 'COMPLETED' });
    // Five changed keys and one missing: eleven CIDs.
    const { system, run } = await waiting({
      settings,
      local: (entries) => [
        ...entries.slice(6),
        ...entries.slice(1, 6).map((entry) => ({ ...entry, accountNumber: `${entry.accountNumber}1` })),
      ],
    });
    expect(await reconciliation(system.pool, run)).toMatchObject({ dictOnly: 6, localOnly: 5, added: 0 });
  });

  it('it refuses an approval of another set, an unsigned one, and one of a run that waits for nothing', async () => {
    const { system, run, setHash } = await waiting();
    await expect(decide(system, 'approve', run, 'ana', 'fine', '0'.repeat(64))).rejects.toMatchObject({
      code: 'DV_SET_MISMATCH',
    });
    await expect(decide(system, 'approve', run, ' ', 'fine')).rejects.toMatchObject({
      code: 'DV_DECISION_UNSIGNED',
    });
    await expect(decide(system, 'reject', run, 'ana', '')).rejects.toMatchObject({
      code: 'DV_DECISION_UNSIGNED',
    });
    await system.waitForClosed(await system.verify());
    expect(await system.waitForRun(run, () => true)).toMatchObject({ status: 'WAITING' });
    await expectBase(system, system.local);

    await decide(system, 'approve', run, 'ana', 'fine', setHash.toUpperCase());
    await system.waitForClosed(run);
    await expect(decide(system, 'approve', run, 'ana', 'fine')).rejects.toMatchObject({
      code: 'DV_RUN_NOT_WAITING',
    });
  });

  it('a rejected one changes nothing, says so, and ends REJECTED', async () => {
    const { system, run } = await waiting();
    await decide(system, 'reject', run, 'bia', 'looks wrong');
    expect(await system.waitForClosed(run)).toMatchObject({
      status: 'REJECTED',
      state: 'rejected',
      errorCode: null,
    });
    await expectBase(system, system.local);
    expect(system.dict.ledger.count('getEntryByCid')).toBe(150);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'REJECTED',
      reason: 'looks wrong',
      approvedBy: null,
      added: 0,
      dictOnly: 150,
      ended: true,
    });
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification APPROVAL_NEEDED',
      'reconciliation.notification REJECTED',
    ]);
    const signalled = (await historyOf(system.pool, run)).find(({ event }) => event === 'SIGNALLED');
    expect(signalled).toMatchObject({ outcome: 'reject', detail: { by: 'bia', reason: 'looks wrong' } });
  });

  it('a cancelled one changes nothing and accepts no decision any more', async () => {
    const { system, run } = await waiting();
    await cancelRun(system.pool, run, 'bia', 'not tonight');
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'CANCELLED' });
    await expect(decide(system, 'approve', run, 'ana', 'fine')).rejects.toMatchObject({
      code: 'DV_RUN_NOT_WAITING',
    });
    await expectBase(system, system.local);
  });

  it('it counts the divergences of all rounds together', async () => {
    const settings = { APPROVAL_BASE_PERCENT: '100' };
    const system = await startSystem({ settings, keysPerType: 200, local: (entries) => entries.slice(60) });
    // 60 are applied without asking. Before the proof DICT has lost 60 others: 120 in total.
    const lost = system.entries.slice(100, 160);
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'createSyncVerification',
      times: 1,
      change: (answer) => {
        for (const { participant, key } of lost) system.dict.directory.deleteEntry({ participant, key });
        return { ...answer, result: 'NOK' };
      },
    });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    expect(await reconciliation(system.pool, run)).toMatchObject({
      rounds: 2,
      added: 60,
      localOnly: 60,
      removed: 0,
    });
    await decide(system, 'approve', run, 'ana', 'fine', await setHashOf(system, run));
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({ removed: 60 });
  });
});

describe('an approval that comes late', () => {
  it('it compares again and, with nothing new, applies without asking again', async () => {
    const { system, run, setHash } = await waiting();
    await system.advance('61 minutes');
    await decide(system, 'approve', run, 'ana', 'fine', setHash);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      rounds: 2,
      added: 150,
      approvedBy: 'ana',
    });
    expect(system.dict.ledger.count('createCidSetFile')).toBe(2);
    expect(
      (await received(system.pool, run)).filter((message) => message.endsWith('APPROVAL_NEEDED')),
    ).toHaveLength(1);
  });

  it('it asks again when there is something new, and then a rejection is final', async () => {
    const { system, run, setHash } = await waiting();
    await system.advance('61 minutes');
    const [donor] = dictBase(system).values();
    createEntries(system, [
      { ...donor!, key: '00000000191', taxIdNumber: '00000000191', requestId: crypto.randomUUID() },
    ]);
    await decide(system, 'approve', run, 'ana', 'fine', setHash);
    await system.waitForRun(run, ({ state, status }) => state === 'wait_approval' && status === 'WAITING');
    await expect
      .poll(async () => reconciliation(system.pool, run))
      .toMatchObject({ rounds: 2, dictOnly: 151, added: 0 });
    await expect(decide(system, 'approve', run, 'ana', 'fine', setHash)).rejects.toMatchObject({
      code: 'DV_SET_MISMATCH',
    });
    await decide(system, 'reject', run, 'bia', 'grows');
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'REJECTED' });
    await expectBase(system, system.local);
    expect((await received(system.pool, run)).slice(1)).toEqual([
      'reconciliation.notification APPROVAL_NEEDED',
      'reconciliation.notification APPROVAL_NEEDED',
      'reconciliation.notification REJECTED',
    ]);
  });

  it('it applies immediately while the comparison is fresh', async () => {
    const { system, run, setHash } = await waiting({
      ...CROSSED,
      settings: { APPROVAL_FRESH_MINUTES: '120' },
    });
    await system.advance('61 minutes');
    await decide(system, 'approve', run, 'ana', 'fine', setHash);
    expect(await system.waitForRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 1 });
  });
});
