import { describe, expect, it } from 'vitest';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { historyOf, listRuns, retryRun } from '../../../src/engine/index.ts';
import {
  childrenOf,
  expectBase,
  expectBaseLikeDict,
  received,
  notifications,
  reconciliation,
} from '../../support/inspect.ts';
import { isClosed, startSystem, type System } from '../../support/system.ts';

/** The verifications that DICT was asked for: "CPF 200", "CPF 500", … */
const asked = ({ dict }: System) =>
  dict.ledger.calls('createSyncVerification').map(({ keyType, status }) => `${keyType} ${status}`);

/** The attempts of a run's state that failed: "attempt code". */
async function failedAttempts({ pool }: System, run: string, state: string): Promise<string[]> {
  return (await historyOf(pool, run))
    .filter((event) => event.event === 'FAILED' && event.state === state)
    .map(({ attempt, error }) => `${attempt} ${error?.code}`);
}

describe('a key type that cannot be verified', () => {
  it('it does not stop the others; the run ends incomplete, and a retry verifies only that type', async () => {
    const system = await startSystem({ keyTypes: KEY_TYPES, divergent: 3 });
    const broken = system.dict.faults.on({
      kind: 'problem',
      status: 500,
      operation: 'createSyncVerification',
      keyType: 'CPF',
    });
    const run = await system.verify();
    const failed = await system.hurryToRun(run, isClosed);
    expect(failed).toMatchObject({ status: 'FAILED', state: 'incomplete', errorCode: 'DV_DICT_INTERNAL' });
    expect(await failedAttempts(system, run, 'verify')).toEqual(
      [1, 2, 3, 4, 5].map((n) => `${n} DV_DICT_INTERNAL`),
    );
    expect(asked(system).filter((call) => call.startsWith('CPF'))).toEqual(Array(5).fill('CPF 500'));

    const children = await childrenOf(system.pool, run);
    expect(Object.keys(children).sort()).toEqual(['CNPJ', 'EMAIL', 'EVP', 'PHONE']);
    for (const child of Object.values(children)) {
      expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED' });
    }
    const summaries = async () =>
      (await notifications(system.pool))
        .filter(({ keyType }) => keyType === 'ALL')
        .map(({ payload }) => payload);
    expect(await summaries()).toMatchObject([
      {
        outcome: 'INCOMPLETE',
        keyTypes: { CPF: { result: 'ERROR', code: 'DV_DICT_INTERNAL' }, CNPJ: { result: 'NOK' } },
        reconciliations: children,
      },
    ]);

    broken.off();
    const before = asked(system).length;
    await retryRun(system.pool, run, 'ana', null);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED', errorCode: null });
    const later = (await childrenOf(system.pool, run)).CPF!;
    expect(await system.waitForClosed(later)).toMatchObject({ status: 'COMPLETED' });
    // Only CPF's verification (its NOK counts at the third read) and its confirmation: none of the four others, and no
    // second reconciliation of them.
    expect(asked(system).slice(before)).toEqual(Array(4).fill('CPF 200'));
    expect(await listRuns(system.pool, { machine: 'reconciliation' })).toHaveLength(5);
    expect((await summaries())[1]).toMatchObject({
      outcome: 'OUT_OF_SYNC',
      keyTypes: { CPF: { result: 'NOK' } },
    });
    await expectBaseLikeDict(system);
    const { rows } = await system.pool.query('select outcome from dict.verifications');
    expect(rows).toEqual([{ outcome: 'OUT_OF_SYNC' }]);
  });

  it('without permission, DICT is not asked about it again', async () => {
    const system = await startSystem({ simulator: { participants: ['87654321'] } });
    const run = await system.verify();
    const failed = await system.waitForClosed(run);
    expect(failed).toMatchObject({ status: 'FAILED', state: 'incomplete', errorCode: 'DV_DICT_FORBIDDEN' });
    expect(asked(system)).toEqual(['CPF 403']);
    expect(await failedAttempts(system, run, 'verify')).toEqual(['1 DV_DICT_FORBIDDEN']);
  });

  it('without tokens, it waits and uses up no attempt', async () => {
    const system = await startSystem();
    system.dict.faults.on({ kind: 'problem', status: 429, operation: 'createSyncVerification', times: 7 });
    const run = await system.verify();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    expect(asked(system)).toEqual([...Array<string>(7).fill('CPF 429'), 'CPF 200']);
    expect(await failedAttempts(system, run, 'verify')).toEqual(Array(7).fill('1 DV_DICT_RATE_LIMITED'));
  });

  it('a nonsensical answer never counts as OK', async () => {
    const system = await startSystem();
    system.dict.faults.on({ kind: 'nonsense', operation: 'createSyncVerification' });
    const run = await system.verify();
    const failed = await system.waitForClosed(run);
    expect(failed).toMatchObject({ status: 'FAILED', errorCode: 'DV_BRIDGE_NONSENSE' });
    const { rows } = await system.pool.query(
      'select last_result, last_ok_at from dict.sync_status where key_type = $1',
      ['CPF'],
    );
    expect(rows).toEqual([{ last_result: 'ERROR', last_ok_at: null }]);
  });
});

describe('a Bridge that is down', () => {
  it('it is down at the start and returns: the run continues by itself', async () => {
    const system = await startSystem({ divergent: 3 });
    await system.stopBridge();
    const run = await system.verify();
    await system.waitForRun(
      run,
      ({ attempt, errorCode }) => attempt >= 2 && errorCode === 'DV_BRIDGE_UNAVAILABLE',
    );
    await system.restoreBridge();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED', errorCode: null });
    const child = (await childrenOf(system.pool, run)).CPF!;
    expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('it is down for longer than the attempts last: the run ends incomplete, and a later retry completes it', async () => {
    const system = await startSystem({ keyTypes: ['CPF', 'EMAIL'] });
    await system.stopBridge();
    const run = await system.verify();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'FAILED', state: 'incomplete' });
    const { rows } = await system.pool.query('select results from dict.verifications');
    const unavailable = { result: 'ERROR', code: 'DV_BRIDGE_UNAVAILABLE' };
    expect(rows).toEqual([{ results: { CPF: unavailable, EMAIL: unavailable } }]);
    await system.restoreBridge();
    await retryRun(system.pool, run, 'ana', null);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(asked(system)).toEqual(['CPF 200', 'EMAIL 200']);
  });
});

describe('a repair whose lookups fail', () => {
  it('when DICT is unavailable for one CID only, it is quarantined, and the next run repairs it', async () => {
    const system = await startSystem({ keysPerType: 60, local: (entries) => entries.slice(20) });
    const { cid } = system.dict.directory.find(system.entries[7]!.key)!;
    const broken = system.dict.faults.on({ kind: 'problem', status: 503, operation: 'getEntryByCid', cid });
    const run = await system.reconcile();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
    expect(await reconciliation(system.pool, run)).toMatchObject({ added: 19, dictOnly: 20, rounds: 1 });

    broken.off();
    expect(await system.hurryToRun(await system.reconcile(), isClosed)).toMatchObject({
      status: 'COMPLETED',
    });
    await expectBaseLikeDict(system);
  });

  it('when DICT fails in the middle, the run fails, and a retry does the rest', async () => {
    const system = await startSystem({ keysPerType: 60, local: (entries) => entries.slice(20) });
    const { cid } = system.dict.directory.find(system.entries[7]!.key)!;
    system.dict.faults.on({ kind: 'problem', status: 429, operation: 'getEntryByCid', cid, times: 1 });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ state }) => state === 'look_up');
    const outage = system.dict.faults.on({ kind: 'problem', status: 503, operation: 'getEntryByCid' });
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_BRIDGE_UNAVAILABLE',
    });

    outage.off();
    await retryRun(system.pool, run, 'ana', null);
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'COMPLETED',
      added: 20,
      rounds: 1,
    });
    expect((await received(system.pool, run)).at(-1)).toBe('reconciliation.complete');
  });

  it('it waits for DICT’s limit and continues where it was', async () => {
    const system = await startSystem({ keysPerType: 60, local: (entries) => entries.slice(20) });
    system.dict.faults.on({ kind: 'problem', status: 429, operation: 'getEntryByCid', times: 6 });
    const run = await system.reconcile();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({ added: 20, rounds: 1 });
  });

  it('without permission to request the CID file it changes nothing', async () => {
    const system = await startSystem({ divergent: 3 });
    system.dict.faults.on({ kind: 'problem', status: 403, operation: 'createCidSetFile' });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_DICT_FORBIDDEN',
    });
    expect(system.dict.ledger.count('createCidSetFile')).toBe(1);
    await expectBase(system, system.local);
  });
});
