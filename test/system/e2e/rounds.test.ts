import { describe, expect, it } from 'vitest';
import { historyOf, retryRun } from '../../../src/engine/index.ts';
import {
  divergences,
  expectBase,
  expectBaseLikeDict,
  received,
  localBase,
  notifications,
  reconciliation,
} from '../../support/inspect.ts';
import { isClosed, startSystem, type System } from '../../support/system.ts';

/** Makes Postgres refuse what `when` says of a row of the table, until the returned function is called. */
async function refuseRows({ pool }: System, table: string, when: string): Promise<() => Promise<void>> {
  await pool.query(`
    create function public.refuse_row() returns trigger language plpgsql as $$
    begin raise exception 'refused by the test'; end $$;
    create trigger refuse_row before insert or update on ${table} for each row when (${when})
      execute function public.refuse_row()`);
  return async () => void (await pool.query(`drop trigger refuse_row on ${table}`));
}

describe('DICT says NOK after the repair', () => {
  it('once, for something new in DICT: the second round finds it', async () => {
    const system = await startSystem({ divergent: 3 });
    const gone = system.local.find(({ key }) => system.dict.directory.find(key) !== undefined)!;
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'createSyncVerification',
      times: 1,
      change: (answer) => {
        system.dict.directory.deleteEntry(gone);
        return { ...answer, result: 'NOK' };
      },
    });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED', errorCode: null });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({ outcome: 'COMPLETED', rounds: 2 });
    const second = (await divergences(system.pool, run)).filter(({ round }) => round === 2);
    expect(second).toMatchObject([{ key: gone.key, decision: 'REMOVED', side: 'LOCAL_ONLY' }]);
    const { rows } = await system.pool.query(
      'select purpose, result from dict.sync_verifications where run_id = $1 order by id',
      [run],
    );
    expect(rows).toEqual([
      { purpose: 'CONFIRMATION', result: 'NOK' },
      { purpose: 'CONFIRMATION', result: 'NOK' },
      { purpose: 'CONFIRMATION', result: 'NOK' },
      { purpose: 'CONFIRMATION', result: 'OK' },
    ]);
  });

  it('three times: the run fails, is logged and published, and a later retry succeeds', async () => {
    const system = await startSystem({ local: (entries) => entries.slice(3) });
    const { key } = system.entries[0]!;
    const { cid } = system.dict.directory.find(key)!;
    // DICT's log names this CID in each round, so that it is in flight; the others are repaired.
    const wrong = system.dict.faults.on({
      kind: 'nonsense',
      operation: 'listCidSetEvents',
      change: (answer) => {
        const timestamp = new Date().toISOString();
        const verifiers = { syncVerifierStart: cid, syncVerifierEnd: cid };
        const events = [{ type: 'ADDED', cid, timestamp }];
        return { ...answer, ...verifiers, events, startTime: timestamp, endTime: timestamp };
      },
    });
    const run = await system.reconcile();
    const failed = await system.waitForClosed(run);
    expect(failed).toMatchObject({ status: 'FAILED', errorCode: 'DV_STILL_NOK', failedState: 'confirm' });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'FAILED',
      reason: expect.stringMatching(/^DV_STILL_NOK: /) as unknown,
      rounds: 3,
      added: 2,
      dictOnly: 3,
      ended: true,
    });
    expect((await divergences(system.pool, run)).filter((row) => row.cid === cid)).toMatchObject([
      { round: 1, decision: 'IN_FLIGHT', after: null },
      { round: 2, decision: 'IN_FLIGHT', after: null },
      { round: 3, decision: 'IN_FLIGHT', after: null },
    ]);
    expect((await localBase(system.pool)).has(key)).toBe(false);
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.changes',
      'reconciliation.notification FAILED',
    ]);

    wrong.off();
    expect(await retryRun(system.pool, run, 'ana', null)).toBe('confirm');
    expect(await system.waitForClosed(run)).toMatchObject({
      status: 'COMPLETED',
      errorCode: null,
      failedState: null,
    });
    await expectBaseLikeDict(system);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'COMPLETED',
      reason: null,
      added: 3,
    });
    expect((await received(system.pool, run)).slice(3)).toEqual([
      'reconciliation.changes',
      'reconciliation.complete',
    ]);
  });

  it('always, though nothing differs: three rounds and no change', async () => {
    const system = await startSystem();
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'createSyncVerification',
      change: (answer) => ({ ...answer, result: 'NOK' }),
    });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_NOK_THOUGH_EQUAL',
    });
    // What the person needs for the ticket at BACEN.
    const { rows } = await system.pool.query<{
      message: string;
      vsync: string;
      id: string;
      correlation: string;
    }>(
      `select r.error ->> 'message' as message, v.vsync, v.dict_id as id, v.correlation_id as correlation
       from workflow.runs r join dict.sync_verifications v on v.run_id = r.id where r.id = $1 order by v.id desc limit 1`,
      [run],
    );
    const { message, ...facts } = rows[0]!;
    for (const fact of Object.values(facts)) expect(message).toContain(fact);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(3);
    expect(system.dict.ledger.count('createSyncVerification')).toBe(9);
    expect(system.dict.ledger.count('getEntryByCid')).toBe(0);
    await expectBase(system, system.entries);
  });
});

describe('404 for a CID that the file lists', () => {
  it('the key is neither removed nor forgotten, and the next round asks again', async () => {
    const system = await startSystem({ local: (entries) => entries.slice(2) });
    const { cid } = system.dict.directory.find(system.entries[1]!.key)!;
    system.dict.faults.on({ kind: 'problem', status: 404, operation: 'getEntryByCid', cid, times: 1 });
    const run = await system.reconcile();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect((await divergences(system.pool, run)).filter((row) => row.cid === cid)).toMatchObject([
      { round: 1, decision: 'SUPERSEDED' },
      { round: 2, decision: 'ADDED' },
    ]);
  });
});

describe('a repair that DICT’s limits would make too long', () => {
  it('is refused with the estimate, and nothing is written', async () => {
    const system = await startSystem({
      keysPerType: 40_000,
      local: () => [],
      settings: { REPAIR_MAX_HOURS: '0.01' },
    });
    const run = await system.reconcile();
    const failed = await system.waitForClosed(run);
    expect(failed).toMatchObject({ status: 'FAILED', errorCode: 'DV_REPAIR_TOO_LONG' });
    expect(failed.errorMessage).toMatch(/At least 40000 CIDs differ\. .* the repair would take 1 hour\./);
    expect(await divergences(system.pool, run)).toEqual([]);
    expect(await localBase(system.pool)).toEqual(new Map());
    expect(system.dict.ledger.count('getEntryByCid')).toBe(0);
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification FAILED',
    ]);
  });
});

describe('a step that the database refuses at first', () => {
  it('a success is not reported as a failure', async () => {
    const system = await startSystem({ divergent: 3 });
    const lift = await refuseRows(system, 'dict.reconciliations', 'new.ended_at is not null');
    const run = await system.reconcile();
    await system.waitForRun(run, ({ state, errorCode }) => state === 'log' && errorCode === 'DV_DATABASE');
    await lift();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED', errorCode: null });
    expect(await reconciliation(system.pool, run)).toMatchObject({ outcome: 'COMPLETED', reason: null });
    const attempts = (await historyOf(system.pool, run)).filter(
      ({ state, event }) => state === 'log' && event === 'STARTED',
    );
    expect(attempts.length).toBeGreaterThan(1);
  });

  it('a question is not reported as a failure', async () => {
    const system = await startSystem({ divergent: 3, settings: { MANUAL_APPROVAL_THRESHOLD: '0' } });
    const lift = await refuseRows(system, 'dict.outbox', `new.payload ->> 'event' <> 'STARTED'`);
    const run = await system.reconcile();
    await system.waitForRun(
      run,
      ({ state, errorCode }) => state === 'ask_approval' && errorCode === 'DV_DATABASE',
    );
    await lift();
    await system.hurryToRun(run, ({ status }) => status === 'WAITING');
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification APPROVAL_NEEDED',
    ]);
  });

  it('the reason of the failed run is not hidden', async () => {
    const system = await startSystem({ divergent: 3 });
    system.dict.faults.on({ kind: 'problem', status: 403, operation: 'createCidSetFile' });
    const lift = await refuseRows(system, 'dict.reconciliations', 'new.ended_at is not null');
    const run = await system.reconcile();
    await expect
      .poll(async () => (await historyOf(system.pool, run)).at(-1))
      .toMatchObject({ event: 'FAILED', state: 'log_failure' });
    await lift();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_DICT_FORBIDDEN',
    });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      reason: expect.stringMatching(/^DV_DICT_FORBIDDEN: /) as unknown,
    });
  });
});

describe('a CID that DICT fails on again and again', () => {
  it('it is quarantined, the rest is repaired, and the run says so', async () => {
    const system = await startSystem({ local: (entries) => entries.slice(3) });
    const { cid } = system.dict.directory.find(system.entries[0]!.key)!;
    const broken = system.dict.faults.on({ kind: 'problem', status: 500, operation: 'getEntryByCid', cid });
    const run = await system.reconcile();
    const closed = await system.hurryToRun(run, isClosed);
    expect(closed).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE', errorCode: null });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'COMPLETED_WITH_QUARANTINE',
      added: 2,
    });
    const aside = (await divergences(system.pool, run)).filter(({ decision }) => decision === 'QUARANTINED');
    expect(aside).toMatchObject([{ cid }]);
    const { rows } = await system.pool.query<{ correlation_id: string }>(
      `select correlation_id from dict.divergences where decision = 'QUARANTINED'`,
    );
    const ids = system.dict.ledger.calls('getEntryByCid').map(({ correlationId }) => correlationId);
    expect(ids).toContain(rows[0]?.correlation_id);
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.changes',
      'reconciliation.notification QUARANTINED',
      'reconciliation.complete',
    ]);
    const published = (await notifications(system.pool)).find(
      ({ payload }) => payload['event'] === 'QUARANTINED',
    );
    expect(published?.payload['quarantined']).toEqual([{ cid, correlationId: rows[0]?.correlation_id }]);
    broken.off();
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });
});
