import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { fromDatabase } from '../../../src/engine/index.ts';
import { expectBaseLikeDict } from '../../support/inspect.ts';
import { isClosed, startSystem, type System } from '../../support/system.ts';

const waits = ({ state, status }: { state: string; status: string }) =>
  state === 'wait_approval' && status === 'WAITING';

async function reasons({ pool }: System, run: string): Promise<string[]> {
  const { rows } = await pool.query<{ reasons: string[] }>(
    'select approval_reasons as reasons from dict.rounds where run_id = $1 order by round desc limit 1',
    [run],
  );
  return rows[0]!.reasons;
}

async function planned({ pool }: System, run: string): Promise<string[]> {
  const { rows } = await pool.query<{ planned: string }>(
    `select concat_ws(' ', side, planned, key) as planned from dict.divergences where run_id = $1 order by 1`,
    [run],
  );
  return rows.map((row) => row.planned);
}

const another = (entries: Entry[], count: number, what: Partial<Entry>): Entry[] =>
  entries.map((entry, n) => (n < count ? { ...entry, ...what } : entry));

describe('below the threshold of CIDs a person is asked', () => {
  it('when one correction changes the owner', async () => {
    const system = await startSystem({
      local: (entries) => another(entries, 1, { taxIdNumber: '00000000191', name: 'Outra Pessoa' }),
    });
    const run = await system.reconcile();
    await system.waitForRun(run, waits);
    expect(await reasons(system, run)).toEqual(['OWNER']);
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'the court said so')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('not when the bank has switched that off, nor when only the name differs', async () => {
    const off = await startSystem({
      settings: { APPROVAL_OWNER_CHANGES: '0' },
      local: (entries) => another(entries, 1, { taxIdNumber: '00000000191' }),
    });
    expect(await off.waitForClosed(await off.reconcile())).toMatchObject({ status: 'COMPLETED' });
    const name = await startSystem({ local: (entries) => another(entries, 1, { name: 'Outra Pessoa' }) });
    expect(await name.waitForClosed(await name.reconcile())).toMatchObject({ status: 'COMPLETED' });
  });

  it('when more than a share of the base would change', async () => {
    const system = await startSystem({
      local: (entries) => another(entries, 21, { accountNumber: '00042' }),
    });
    const run = await system.reconcile();
    await system.waitForRun(run, waits);
    expect(await reasons(system, run)).toEqual(['SHARE']);
  });

  it('when the nights of a day would change too many keys together; what a person approved does not count', async () => {
    const system = await startSystem({ settings: { APPROVAL_DAILY_KEYS: '10' } });
    const change = async (from: number, to: number) => {
      for (const { participant, key } of system.entries.slice(from, to)) {
        system.dict.directory.updateEntry({ participant, key }, { accountNumber: '00042' });
      }
      await system.advance('2 minutes');
      return system.reconcile();
    };
    expect(await system.hurryToRun(await change(0, 6), isClosed)).toMatchObject({ status: 'COMPLETED' });
    const second = await change(6, 12);
    await system.hurryToRun(second, waits);
    expect(await reasons(system, second)).toEqual(['DAY']);
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'known')`, [second]);
    expect(await system.hurryToRun(second, isClosed)).toMatchObject({ status: 'COMPLETED' });
    expect(await system.hurryToRun(await change(12, 16), isClosed)).toMatchObject({ status: 'COMPLETED' });
    // A day later all is forgotten.
    await system.advance('25 hours');
    expect(await system.hurryToRun(await change(16, 25), isClosed)).toMatchObject({ status: 'COMPLETED' });
  });

  it('when the set is too large to ask DICT before', async () => {
    const system = await startSystem({ divergent: 9, settings: { APPROVAL_LOOKUPS_MAX: '3' } });
    const run = await system.reconcile();
    await system.waitForRun(run, waits);
    expect(await reasons(system, run)).toEqual(['UNSEEN']);
    expect(system.dict.ledger.count('getEntryByCid')).toBe(0);
  });
});

describe('what a person approves', () => {
  const settings = { MANUAL_APPROVAL_THRESHOLD: '0' };

  it('is a plan of decisions, and its hash covers them', async () => {
    const system = await startSystem({ divergent: 3, settings });
    const run = await system.reconcile();
    await system.waitForRun(run, waits);
    const plan = await planned(system, run);
    expect(plan.map((row) => row.split(' ').slice(0, 2).join(' '))).toEqual([
      'DICT_ONLY ADD',
      'DICT_ONLY CORRECT',
      'LOCAL_ONLY CORRECT',
      'LOCAL_ONLY REMOVE',
    ]);
    for (const row of plan) expect(row.split(' ')).toHaveLength(3);
    const hash = async () => {
      const { rows } = await system.pool.query<{ hash: string }>(
        'select set_hash as hash from dict.rounds where run_id = $1',
        [run],
      );
      return rows[0]!.hash;
    };
    const before = await hash();
    // Another plan is another set: who approves the one that was looked at is refused.
    await system.pool.query(`select dict.register_local_only($1, null, 'bia', 'ours')`, [run]);
    expect(await hash()).not.toBe(before);
    const approve = async (set: string) =>
      system.pool
        .query(`select dict.approve_reconciliation($1, 'ana', 'fine', $2)`, [run, set])
        .catch((error: unknown) => {
          throw fromDatabase(error);
        });
    await expect(approve(before)).rejects.toMatchObject({ code: 'DV_SET_MISMATCH' });
    await approve(await hash());
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
  });

  it('is looked up again when it is applied: what has changed since is left to the next comparison', async () => {
    const system = await startSystem({ divergent: 3, settings });
    const run = await system.reconcile();
    await system.waitForRun(run, waits);
    const added = (await planned(system, run)).find((row) => row.startsWith('DICT_ONLY ADD'))!.split(' ')[2]!;
    system.dict.directory.deleteEntry({ participant: system.participant, key: added });
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('is all that is done: what DICT shows only afterwards is planned, and asked, in the next round', async () => {
    const system = await startSystem({ local: (entries) => entries.slice(2), settings });
    const { cid } = system.dict.directory.find(system.entries[0]!.key)!;
    const blocked = system.dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', cid, status: 403 });
    const run = await system.reconcile();
    await system.hurryToRun(run, waits);
    const plans = (await planned(system, run)).map((row) => row.split(' ')[1]);
    expect(new Set(plans)).toEqual(new Set(['ADD', 'LEAVE']));
    blocked.off();
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    await system.hurryToRun(run, ({ state }) => state !== 'wait_approval');
    await system.hurryToRun(run, waits);
    const { rows } = await system.pool.query(
      `select round, decision from dict.divergences where run_id = $1 order by round, decision`,
      [run],
    );
    expect(rows).toEqual([
      { round: 1, decision: 'ADDED' },
      { round: 1, decision: 'SUPERSEDED' },
      { round: 2, decision: 'PENDING' },
    ]);
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine as well')`, [run]);
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });
});
