import { beforeEach, describe, expect, test } from 'vitest';
import { cloudEvent } from '../../../src/notify/outbox/envelope.ts';
import { problemsOf } from '../../support/schemas.ts';
import { ISPB, useSql } from './support.ts';

const { query, start } = useSql();
beforeEach(async () => query('truncate dict.outbox, dict.verifications, dict.sync_verifications'));

/** A verification of CPF and PHONE that has CPF's answer. */
async function halfway(): Promise<string> {
  const [run = ''] = await start('verification', ISPB, ['CPF', 'PHONE']);
  await query(`update workflow.runs set context = $2 where id = $1`, [
    run,
    { results: { CPF: { result: 'NOK', vsync: 'ab'.repeat(32), entries: 3 } } },
  ]);
  await query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     values ($1, 'VERIFICATION', $2, 'CPF', repeat('ab', 32), 3, now(), now() + interval '2 seconds', 'NOK')`,
    [run, ISPB],
  );
  return run;
}
const close = async (run: string, status: string, error: unknown = null) =>
  query(`select workflow.close_run(r, $2, $3) from workflow.runs r where id = $1`, [run, status, error]);
const logged = async (run: string) =>
  query(`select key_types, outcome, results from dict.verifications where run_id = $1`, [run]);

/** The published summaries, each as it is sent and valid by its schema. */
async function published(): Promise<unknown[]> {
  const rows = await query<Parameters<typeof cloudEvent>[0]>(
    `select id, participant, key_type as "keyType", sequence, type, payload, correlation_id as "correlationId",
       created_at as "createdAt" from dict.outbox order by sequence`,
  );
  return rows.map((row) => {
    expect(row.keyType).toBe('ALL');
    expect(problemsOf(JSON.parse(JSON.stringify(cloudEvent(row, 'full'))))).toEqual([]);
    return row.payload;
  });
}

const CPF = { result: 'NOK', vsync: 'ab'.repeat(32), entries: 3 };
const poison = { code: 'DV_STEP_POISONED', class: 'not_retryable', message: 'Three workers died.' };

describe('a verification that does not reach its summary is logged and published', () => {
  test.each([
    ['POISONED', poison, 'DV_STEP_POISONED'],
    ['FAILED', { ...poison, code: 'DV_UNEXPECTED' }, 'DV_UNEXPECTED'],
    ['CANCELLED', null, 'DV_RUN_CANCELLED'],
    ['TERMINATED', null, 'DV_RUN_CANCELLED'],
  ])('%s', async (status, error, code) => {
    const run = await halfway();
    const [reconciliation = ''] = await start('reconciliation', ISPB, ['CPF']);
    await close(run, status, error);
    const results = { CPF, PHONE: { result: 'ERROR', code } };
    expect(await logged(run)).toEqual([{ key_types: ['CPF', 'PHONE'], outcome: 'INCOMPLETE', results }]);
    expect(await published()).toEqual([
      expect.objectContaining({
        runId: run,
        outcome: 'INCOMPLETE',
        keyTypes: { ...results, CPF: { ...CPF, seconds: 2 } },
        reconciliations: { CPF: reconciliation },
      }),
    ]);
  });

  test('one that ends before its first step, and one whose input is invalid', async () => {
    const [run = ''] = await start('verification', ISPB, ['CPF']);
    await close(run, 'POISONED', poison);
    expect(await published()).toMatchObject([
      { outcome: 'INCOMPLETE', keyTypes: { CPF: { result: 'ERROR' } } },
    ]);
    for (const input of [
      {},
      { participant: ISPB, keyTypes: 'CPF' },
      { participant: ISPB, keyTypes: [null] },
    ]) {
      const [odd] = await query<{ id: string }>(
        `select workflow.start_run('verification', gen_random_uuid()::text, $1) as id`,
        [input],
      );
      await close(odd!.id, 'POISONED', poison);
    }
  });
});

test('one that ended by itself is not published twice', async () => {
  const run = await halfway();
  let version = 0;
  await query(`select workflow.heartbeat('test', '{}')`);
  const claimed = await query<{ next: { version: number } }>(`select workflow.claim($1, 'test') as next`, [
    run,
  ]);
  version = claimed[0]!.next.version;
  for (const outcome of ['read', 'done', 'logged', 'spawned', 'incomplete']) {
    const [row] = await query<{ next: { version: number } | null }>(
      `select workflow.complete_step($1, $2, 'test', $3, true) as next`,
      [run, version, { outcome }],
    );
    version = row?.next?.version ?? -1;
  }
  expect(await query('select status, state from workflow.runs where id = $1', [run])).toEqual([
    { status: 'FAILED', state: 'incomplete' },
  ]);
  expect(await published()).toEqual([]);
});
