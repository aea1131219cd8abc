import { beforeEach, expect, test } from 'vitest';
import { cloudEvent } from '../../../src/notify/outbox/envelope.ts';
import { problemsOf } from '../../support/schemas.ts';
import { ISPB, useSql } from './support.ts';

const { query, start } = useSql();
beforeEach(async () => query('truncate dict.outbox'));

/** An undo that has put back one key of two. */
async function halfway(): Promise<string> {
  const [reconciliation = ''] = await start('reconciliation', ISPB, ['CPF']);
  await query(
    `insert into dict.reconciliations (run_id, participant, key_type, started_at, vsync_before, entries_before)
     values ($1, $2, 'CPF', now(), repeat('0', 64), 0)`,
    [reconciliation, ISPB],
  );
  await query(
    `insert into dict.rounds (run_id, round, snapshot, snapshot_at, margin_starts_at)
     values ($1, 1, pg_current_snapshot(), now(), now())`,
    [reconciliation],
  );
  await query(
    `insert into dict.divergences (run_id, round, cid, side, key, decision)
     select $1, 1, sha256(k::bytea), 'DICT_ONLY', k, 'ADDED' from unnest('{11122233300,11122233381}'::text[]) k`,
    [reconciliation],
  );
  await query('select workflow.cancel($1)', [reconciliation]);
  const [row] = await query<{ id: string }>(`select dict.start_undo($1, 'Ana', 'wrong night') as id`, [
    reconciliation,
  ]);
  const undo = row!.id;
  await query(
    `update dict.undos set keys_undone = 1, pages_published = 1, changes_published = 1 where undo_run_id = $1`,
    [undo],
  );
  await query('truncate dict.outbox');
  return undo;
}
const close = async (run: string, status: string, error: unknown = null) =>
  query(`select workflow.close_run(r, $2, $3) from workflow.runs r where id = $1`, [run, status, error]);
const rowOf = async (undo: string) =>
  (
    await query<{ outcome: string | null; ended: boolean }>(
      `select outcome, ended_at is not null as ended from dict.undos where undo_run_id = $1`,
      [undo],
    )
  )[0];
async function published(): Promise<unknown[]> {
  const rows = await query<Parameters<typeof cloudEvent>[0]>(
    `select id, participant, key_type as "keyType", sequence, type, payload, correlation_id as "correlationId",
       created_at as "createdAt" from dict.outbox order by sequence`,
  );
  for (const row of rows) expect(problemsOf(JSON.parse(JSON.stringify(cloudEvent(row, 'full'))))).toEqual([]);
  return rows.map(({ type, payload }) => ({ type, ...(payload as object) }));
}

test.each([
  // An error of an earlier attempt is not the reason.
  ['CANCELLED', { code: 'DV_DATABASE' }, {}],
  ['TERMINATED', null, {}],
  ['POISONED', { code: 'DV_STEP_POISONED' }, { code: 'DV_STEP_POISONED' }],
  ['FAILED', { code: 'DV_UNEXPECTED' }, { code: 'DV_UNEXPECTED' }],
])('an undo that is %s ends its row and publishes that to Core-Dict', async (status, error, code) => {
  const undo = await halfway();
  await close(undo, status, error);
  expect(await rowOf(undo)).toEqual({ outcome: status, ended: true });
  expect(await published()).toEqual([
    {
      type: 'undo.done',
      ...{ runId: undo, pageCount: 1, changeCount: 1, ...code },
      summary: expect.objectContaining({ outcome: status, keysUndone: 1, by: 'Ana' }) as unknown,
    },
  ]);
});

test('a retried undo is open again, and may end with another result', async () => {
  const undo = await halfway();
  await close(undo, 'POISONED', { code: 'DV_STEP_POISONED' });
  await query('select workflow.retry($1)', [undo]);
  expect(await rowOf(undo)).toEqual({ outcome: null, ended: false });
  await query(`select workflow.cancel($1, 'Ana')`, [undo]);
  expect(await rowOf(undo)).toEqual({ outcome: 'CANCELLED', ended: true });
  expect(await published()).toMatchObject([
    { summary: { outcome: 'POISONED' } },
    { summary: { outcome: 'CANCELLED' } },
  ]);
});
