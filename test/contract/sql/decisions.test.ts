import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ALL_KEY_TYPES, coded, ISPB, useSql } from './support.ts';

const { database, query, start, keys, jobs, waitingReconciliation, failRun } = useSql();

describe('approving and rejecting', () => {
  const HASH = 'ab'.repeat(32);

  const decide = async (
    verb: 'approve' | 'reject',
    run: unknown,
    by: unknown = 'Ana',
    why: unknown = 'checked the report',
    hash: unknown = null,
  ) => query(`select dict.${verb}_reconciliation($1, $2, $3, $4)`, [run, by, why, hash]);

  const stateOf = async (run: string) =>
    (await query<{ state: string }>('select state from workflow.runs where id = $1', [run]))[0]?.state;

  test.each([
    ['approve', 'accept_approval'],
    ['reject', 'log_rejection'],
  ] as const)('%s moves the run on, and records who, why and which set', async (verb, state) => {
    const run = await waitingReconciliation(HASH);
    expect(await query('select status, waits_for from workflow.runs_view where id = $1', [run])).toEqual([
      { status: 'WAITING', waits_for: 'a signal: approve or reject' },
    ]);
    await decide(verb, run);
    expect(await stateOf(run)).toBe(state);
    const [row] = await query(`select context -> 'signal' as signal from workflow.runs where id = $1`, [run]);
    expect(row).toMatchObject({
      signal: { name: verb, by: 'Ana', reason: 'checked the report', payload: { setHash: HASH } },
    });
    expect(await jobs()).toBe(1);
  });

  test('the hash of the newest frozen set is accepted in either letter case, another one is refused', async () => {
    const run = await waitingReconciliation(HASH);
    for (const hash of ['cd'.repeat(32), 'ab', '']) {
      await expect(decide('approve', run, 'Ana', 'because', hash)).rejects.toEqual(
        coded('DV_SET_MISMATCH', new RegExp(HASH)),
      );
    }
    expect(await stateOf(run)).toBe('wait_approval');
    await decide('approve', run, 'Ana', 'because', HASH.toUpperCase());
    expect(await stateOf(run)).toBe('accept_approval');
  });

  test.each(['approve', 'reject'] as const)('%s requires who and why', async (verb) => {
    const run = await waitingReconciliation(HASH);
    for (const [by, why] of [
      [null, 'why'],
      ['', 'why'],
      ['  ', 'why'],
      ['Ana', null],
      ['Ana', ' '],
    ]) {
      await expect(decide(verb, run, by, why)).rejects.toEqual(coded('DV_DECISION_UNSIGNED'));
    }
    expect(await stateOf(run)).toBe('wait_approval');
  });

  test('a run that does not exist, does not wait, or was already decided is refused', async () => {
    await expect(decide('approve', randomUUID())).rejects.toEqual(coded('DV_RUN_NOT_FOUND'));
    await expect(decide('approve', null)).rejects.toEqual(coded('DV_RUN_NOT_FOUND'));
    const [verification] = await start('verification', ISPB);
    await expect(decide('approve', verification)).rejects.toEqual(coded('DV_RUN_NOT_WAITING'));
    const run = await waitingReconciliation(HASH);
    await decide('reject', run);
    await expect(decide('approve', run)).rejects.toEqual(coded('DV_RUN_NOT_WAITING'));
  });

  test('a rolled-back decision decides nothing', async () => {
    const run = await waitingReconciliation(HASH);
    const client = await database.pool.connect();
    await client.query('begin');
    await client.query(`select dict.approve_reconciliation($1, 'Ana', 'why')`, [run]);
    await client.query('rollback');
    client.release();
    expect(await stateOf(run)).toBe('wait_approval');
  });
});

describe('workflow.cancel and workflow.retry', () => {
  test('cancel closes a run immediately, and records who and why', async () => {
    const [run = ''] = await start('verification', ISPB);
    expect(await query(`select workflow.cancel($1, 'Ana', 'by mistake') as status`, [run])).toEqual([
      { status: 'CANCELLED' },
    ]);
    expect(
      await query(`select detail from workflow.history where run_id = $1 and event = 'CANCEL_REQUESTED'`, [
        run,
      ]),
    ).toEqual([{ detail: { by: 'Ana', reason: 'by mistake' } }]);
  });

  test('cancel refuses a run that does not exist or is closed', async () => {
    await expect(query('select workflow.cancel($1)', [randomUUID()])).rejects.toEqual(
      coded('DV_RUN_NOT_FOUND'),
    );
    const [run = ''] = await start('verification', ISPB);
    await query('select workflow.cancel($1)', [run]);
    await expect(query('select workflow.cancel($1)', [run])).rejects.toEqual(
      coded('DV_RUN_CLOSED', /CANCELLED/),
    );
  });

  test('retry continues in the state that failed; it refuses a run that did not fail, or whose key has an open run', async () => {
    await expect(query('select workflow.retry($1)', [randomUUID()])).rejects.toEqual(
      coded('DV_RUN_NOT_FOUND'),
    );
    const [run = ''] = await start('verification', ISPB);
    await expect(query('select workflow.retry($1)', [run])).rejects.toEqual(
      coded('DV_RUN_NOT_FAILED', /PENDING/),
    );
    await failRun(run);
    const [other] = await start('verification', ISPB);
    await expect(query('select workflow.retry($1)', [run])).rejects.toEqual(coded('DV_RUN_KEY_OPEN'));
    await query('select workflow.cancel($1)', [other]);
    expect(await query('select workflow.retry($1) as state', [run])).toEqual([{ state: 'read' }]);
    expect(await keys()).toEqual([`verification:${ISPB}:${ALL_KEY_TYPES}`]);
  });
});
