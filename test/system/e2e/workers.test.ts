import { describe, expect, it } from 'vitest';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { listRuns } from '../../../src/engine/index.ts';
import { childrenOf, expectBaseLikeDict, notifications } from '../../support/inspect.ts';
import { ISPB, startSystem } from '../../support/system.ts';

describe('two services on one database', () => {
  it('they share the work, and each effect happens once', async () => {
    const system = await startSystem({
      keyTypes: KEY_TYPES,
      divergent: 12,
      settings: { WORKER_CONCURRENCY: '1' },
    });
    const other = await system.startAnotherService();
    const run = await system.verify();
    await system.waitForClosed(run);
    const children = Object.values(await childrenOf(system.pool, run));
    expect(children).toHaveLength(5);
    for (const child of children) {
      expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED' });
    }
    await expectBaseLikeDict(system);

    const { ledger } = system.dict;
    // Each type's NOK counts at the third read, and its repair is confirmed immediately.
    expect(ledger.count('createSyncVerification')).toBe(20);
    expect(ledger.count('createCidSetFile')).toBe(5);
    expect(ledger.count('downloadCidSetFile')).toBe(5);
    const { rows: found } = await system.pool.query<{ cids: number; distinct: number; decided: number }>(
      `select count(*)::integer as cids, count(distinct cid)::integer as distinct,
         count(*) filter (where decision in ('ADDED', 'CORRECTED', 'REMOVED'))::integer as decided from dict.divergences`,
    );
    const { cids } = found[0]!;
    expect(found).toEqual([{ cids, distinct: cids, decided: cids }]);
    const lookedUp = ledger.calls('getEntryByCid').map(({ cid }) => cid);
    expect(new Set(lookedUp).size).toBe(lookedUp.length);

    const { rows: workers } = await system.pool.query<{ worker: string }>(
      `select distinct worker from workflow.history where event = 'STARTED' order by 1`,
    );
    expect(workers.map(({ worker }) => worker)).toEqual([system.service.id, other.id].sort());
    const { rows: twice } = await system.pool.query(
      `select run_id, version from workflow.history where event = 'STARTED' group by 1, 2 having count(*) > 1`,
    );
    expect(twice).toEqual([]);
    const published = (await notifications(system.pool)).map(({ keyType, type, payload }) =>
      [keyType, type, payload['event'] ?? ''].join(' '),
    );
    const once = published.filter((message) => !message.includes('reconciliation.changes'));
    expect(new Set(once).size).toBe(once.length);
    expect(once).toHaveLength(1 + 5 * 2);
    const { rows: changed } = await system.pool.query<{ key: string }>(
      `select c ->> 'key' as key from dict.notifications, jsonb_array_elements(payload -> 'data' -> 'changes') c
       where type = 'reconciliation.changes'`,
    );
    expect(changed).toHaveLength(5 * 12);
    expect(new Set(changed.map(({ key }) => key)).size).toBe(changed.length);
  });

  it('started at the same time on an empty database, they open one schedule', async () => {
    const system = await startSystem();
    await Promise.all([system.startAnotherService(), system.startAnotherService()]);
    const schedules = await listRuns(system.pool, { machine: 'verification_schedule' });
    expect(schedules.map(({ workflowKey }) => workflowKey)).toEqual([`verification-schedule:${ISPB}`]);
  });

  it('one stops, and the other finishes what it left', async () => {
    const system = await startSystem({ divergent: 6, simulator: { fileGenerationMs: 10_000 } });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ state }) => state === 'poll_file');
    const other = await system.startAnotherService();
    await system.stopService();
    system.passAtDict(10_000);
    await system.advance('1 minute');
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    const { rows } = await system.pool.query(
      `select worker from workflow.history where run_id = $1 and event = 'STARTED' and state = 'confirm'`,
      [run],
    );
    expect(rows).toEqual([{ worker: other.id }]);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(1);
  });
});
