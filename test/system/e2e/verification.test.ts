import { describe, expect, it } from 'vitest';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { historyOf, listRuns } from '../../../src/engine/index.ts';
import { childrenOf, expectBaseLikeDict, notifications } from '../../support/inspect.ts';
import { ISPB, isClosed, startSystem } from '../../support/system.ts';

const SORTED = [...KEY_TYPES].sort();

describe('a verification', () => {
  it('it finds all five types in sync, starts nothing and publishes that to Core-Dict', async () => {
    const system = await startSystem({ keyTypes: KEY_TYPES });
    const run = await system.verify();
    expect(await system.waitForClosed(run)).toMatchObject({
      status: 'COMPLETED',
      state: 'verified',
      workflowKey: `verification:${ISPB}:${SORTED.join(',')}`,
    });

    expect(await childrenOf(system.pool, run)).toEqual({});
    expect(await listRuns(system.pool, { machine: 'reconciliation' })).toEqual([]);
    expect(system.dict.ledger.calls('createSyncVerification').map(({ keyType }) => keyType)).toEqual(SORTED);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(0);

    const { rows } = await system.pool.query('select outcome, key_types, results from dict.verifications');
    const results = Object.fromEntries(
      KEY_TYPES.map((keyType) => [
        keyType,
        { result: 'OK', entries: 60, vsync: system.dict.directory.set(ISPB, keyType).vsync() },
      ]),
    );
    expect(rows).toEqual([{ outcome: 'IN_SYNC', key_types: SORTED, results }]);
    expect(await notifications(system.pool)).toEqual([
      {
        participant: ISPB,
        keyType: 'ALL',
        sequence: 1,
        type: 'verification.summary',
        payload: {
          ...{ runId: run, outcome: 'IN_SYNC', reconciliations: {} },
          keyTypes: Object.fromEntries(
            Object.entries(results).map(([keyType, result]) => [
              keyType,
              { ...result, seconds: expect.any(Number) as unknown },
            ]),
          ),
          ...{ startedAt: expect.any(String) as unknown, endedAt: expect.any(String) as unknown },
          seconds: expect.any(Number) as unknown,
        },
      },
    ]);
  });

  it('it is in sync where neither side has a key', async () => {
    const system = await startSystem({ keysPerType: 0 });
    const run = await system.verify();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    const { rows } = await system.pool.query('select result, vsync from dict.sync_verifications');
    expect(rows).toEqual([{ result: 'OK', vsync: '0'.repeat(64) }]);
  });

  it('it ends before the reconciliations that it started, which continue', async () => {
    const system = await startSystem({ divergent: 6, simulator: { fileGenerationMs: 10_000 } });
    const run = await system.verify();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    const child = (await childrenOf(system.pool, run)).CPF!;
    const polling = await system.waitForRun(child, ({ state }) => state === 'poll_file');
    expect(polling).toMatchObject({ status: 'RUNNING', parentId: run });

    const [summary] = await notifications(system.pool).then((all) =>
      all.filter(({ keyType }) => keyType === 'ALL'),
    );
    expect(summary?.payload).toMatchObject({ outcome: 'OUT_OF_SYNC', reconciliations: { CPF: child } });

    system.passAtDict(10_000);
    expect(await system.hurryToRun(child, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('two starts make one run, by either name, and a start after its end makes a new one', async () => {
    const system = await startSystem({ keyTypes: ['CPF', 'EMAIL'] });
    const held = system.dict.faults.on({ kind: 'problem', status: 503 });
    const first = await system.verify(['CPF', 'EMAIL']);
    const again = await system.verify(['EMAIL', 'CPF']);
    expect(again).toBe(first);
    await system.waitForRun(first, ({ errorCode }) => errorCode === 'DV_BRIDGE_UNAVAILABLE');
    expect(await system.verify(['CPF', 'EMAIL'])).toBe(first);
    expect(await system.verify(['CPF'])).not.toBe(first);

    held.off();
    await system.hurryToRun(first, isClosed);
    expect(await system.verify(['CPF', 'EMAIL'])).not.toBe(first);
  });

  it('it starts nothing when the transaction that asked for it rolls back', async () => {
    const system = await startSystem();
    const client = await system.pool.connect();
    await client.query('begin');
    await client.query('select dict.start_verification($1)', [ISPB]);
    await client.query('rollback');
    client.release();
    await system.waitForClosed(await system.verify());
    expect(await listRuns(system.pool, { machine: 'verification' })).toHaveLength(1);
  });

  it('one of all configured participants is one run each, of each one’s own base', async () => {
    const system = await startSystem({ participants: [ISPB, '87654321'], divergent: 6 });
    const { rows } = await system.pool.query<{ id: string }>('select dict.start_verification() as id');
    expect(rows).toHaveLength(2);
    for (const { id } of rows) {
      expect(await system.waitForClosed(id)).toMatchObject({ status: 'COMPLETED' });
      const child = (await childrenOf(system.pool, id)).CPF!;
      expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED' });
    }
    await expectBaseLikeDict(system, ISPB);
    await expectBaseLikeDict(system, '87654321');
  });

  it('it starts no second reconciliation of a type whose last one is still open', async () => {
    const system = await startSystem({ divergent: 6, simulator: { fileGenerationMs: 10_000 } });
    const open = await system.reconcile();
    await system.waitForRun(open, ({ state }) => state === 'poll_file');
    const run = await system.verify();
    await system.waitForClosed(run);
    const all = await listRuns(system.pool, { machine: 'reconciliation' });
    expect(all.map(({ id }) => id)).toEqual([open]);
    const history = await historyOf(system.pool, run);
    expect(history.find(({ state, event }) => state === 'spawn' && event === 'COMPLETED')?.detail).toEqual({
      children: [open],
    });
    const [summary] = await notifications(system.pool).then((sent) =>
      sent.filter(({ keyType }) => keyType === 'ALL'),
    );
    expect(summary?.payload['reconciliations']).toEqual({ CPF: open });
  });
});
