import { beforeEach, expect, test } from 'vitest';
import { ISPB, useSql } from './support.ts';

const { query, start, waitingReconciliation } = useSql();
const HASH = 'ab'.repeat(32);

beforeEach(async () => query('delete from dict.outbox'));

const rowOf = async (run: string) =>
  (
    await query<{ outcome: string | null; reason: string | null; ended: boolean; found: number }>(
      `select outcome, reason, ended_at is not null as ended, dict_only_cids::integer as found
       from dict.reconciliations where run_id = $1`,
      [run],
    )
  )[0];

const published = async () =>
  (
    await query<{ payload: Record<string, unknown> }>(
      `select payload from dict.outbox where type = 'reconciliation.notification' order by sequence`,
    )
  ).map(({ payload }) => payload);

test('cancelling a reconciliation ends its row and publishes who and why to Core-Dict', async () => {
  const run = await waitingReconciliation(HASH);
  await query(
    `insert into dict.divergences (run_id, round, cid, side) values ($1, 2, '\\xab', 'DICT_ONLY')`,
    [run],
  );
  await query(`select workflow.cancel($1, 'Ana', 'wrong night')`, [run]);
  expect(await rowOf(run)).toEqual({
    outcome: 'CANCELLED',
    reason: 'by Ana: wrong night',
    ended: true,
    found: 1,
  });
  expect(await published()).toEqual([
    {
      runId: run,
      event: 'CANCELLED',
      pageCount: 0,
      changeCount: 0,
      reason: 'by Ana: wrong night',
      summary: expect.objectContaining({
        participant: ISPB,
        keyType: 'CPF',
        outcome: 'CANCELLED',
        dictOnlyCids: 1,
        approvedBy: null,
        setHash: HASH,
      }) as unknown,
    },
  ]);
});

test('terminating it with its parent does the same', async () => {
  const run = await waitingReconciliation(HASH);
  await query(`select workflow.close_run(r, 'TERMINATED') from workflow.runs r where id = $1`, [run]);
  expect(await rowOf(run)).toMatchObject({ outcome: 'TERMINATED', reason: null, ended: true });
  expect(await published()).toMatchObject([{ runId: run, event: 'TERMINATED' }]);
});

test('failing before its log could be saved does the same, with the error as the reason', async () => {
  const run = await waitingReconciliation(HASH);
  const error = { code: 'DV_UNEXPECTED', class: 'not_retryable', message: 'No.' };
  await query(`select workflow.close_run(r, 'FAILED', $2) from workflow.runs r where id = $1`, [run, error]);
  expect(await rowOf(run)).toMatchObject({ outcome: 'FAILED', reason: 'DV_UNEXPECTED: No.', ended: true });
  expect(await published()).toMatchObject([{ runId: run, event: 'FAILED', reason: 'DV_UNEXPECTED: No.' }]);
});

test('a reconciliation that ended its own row is not published twice', async () => {
  const run = await waitingReconciliation(HASH);
  await query(`select dict.close_reconciliation($1, 'FAILED', 'DV_FILE_LATE: …')`, [run]);
  await query(`select workflow.close_run(r, 'FAILED') from workflow.runs r where id = $1`, [run]);
  expect(await rowOf(run)).toMatchObject({ outcome: 'FAILED', reason: 'DV_FILE_LATE: …' });
  expect(await published()).toEqual([]);
});

test('a reconciliation cancelled before it opened has no row, and nothing is published', async () => {
  const [run = ''] = await start('reconciliation', ISPB, ['CPF']);
  await query('select workflow.cancel($1)', [run]);
  expect(await rowOf(run)).toBeUndefined();
  expect(await published()).toEqual([]);
});
