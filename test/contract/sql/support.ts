import { beforeAll, beforeEach, expect } from 'vitest';
import type pg from 'pg';
import { storeMachines } from '../../../src/engine/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';

export { ISPB } from '../../support/key-base.ts';

export const ALL_KEY_TYPES = 'CNPJ,CPF,EMAIL,EVP,PHONE';

/** A coded error of the SQL functions, as any client sees it. */
export function coded(code: string, message = /^[A-Z].*\.$/): unknown {
  return expect.objectContaining({
    code: 'DV000',
    detail: code,
    message: expect.stringMatching(message) as string,
  });
}

/** A database with the machines stored, no participant configured, and no run before each test. */
export function useSql() {
  const database = useTestDatabase();
  beforeAll(async () => storeMachines(database.pool, machines));
  beforeEach(async () => {
    await database.pool.query(`truncate dict.participants, dict.reconciliations cascade;
      delete from workflow.runs; delete from graphile_worker._private_jobs`);
  });

  const query = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> =>
    (await database.pool.query<Row>(text, values)).rows;

  /** The run ids that a start function returns. */
  const start = async (what: 'verification' | 'reconciliation', ...values: unknown[]): Promise<string[]> => {
    const args = values.map((_, i) => `$${i + 1}`).join(', ');
    const rows = await query<{ id: string }>(`select dict.start_${what}(${args}) as id`, values);
    return rows.map(({ id }) => id);
  };

  /** Workflow keys of the open runs. */
  const keys = async (): Promise<string[]> => {
    const rows = await query<{ key: string }>(
      'select workflow_key as key from workflow.runs where closed_at is null order by 1',
    );
    return rows.map(({ key }) => key);
  };

  const jobs = async (): Promise<number> =>
    (await query<{ n: number }>('select count(*)::int as n from graphile_worker.jobs'))[0]?.n ?? -1;

  /** Claims a run's step as a living worker. */
  const claim = async (run: string): Promise<number> => {
    await query(`select workflow.heartbeat('test', '{}')`);
    const rows = await query<{ next: { version: number } }>(`select workflow.claim($1, 'test') as next`, [
      run,
    ]);
    return rows[0]?.next.version ?? -1;
  };

  /**
   * A reconciliation of CPF that waits for a person with this frozen set, brought there through its machine's
   * transitions.
   */
  const waitingReconciliation = async (setHash: string): Promise<string> => {
    const [run = ''] = await start('reconciliation', ISPB, ['CPF']);
    await query(
      `insert into dict.reconciliations (run_id, participant, key_type, started_at, vsync_before, entries_before)
       values ($1, $2, 'CPF', now(), repeat('0', 64), 0)`,
      [run, ISPB],
    );
    await query(
      `insert into dict.rounds (run_id, round, snapshot, snapshot_at, margin_starts_at, set_hash)
       values ($1, 1, pg_current_snapshot(), now(), now(), repeat('cd', 32)),
         ($1, 2, pg_current_snapshot(), now(), now(), $2)`,
      [run, setHash],
    );
    let version = await claim(run);
    for (const outcome of [
      'opened',
      'kept',
      'use_file',
      'requested',
      'available',
      'complete',
      'different',
      'judged',
      'looked_up',
      'ask',
      'notified',
    ]) {
      const [row] = await query<{ next: { version: number } | null }>(
        `select workflow.complete_step($1, $2, 'test', $3, true) as next`,
        [run, version, JSON.stringify({ outcome })],
      );
      version = row?.next?.version ?? -1;
    }
    return run;
  };

  /** Makes a run that has not begun yet fail in its first state. */
  const failRun = async (run: string): Promise<void> => {
    const error = { code: 'DV_DICT_FORBIDDEN', class: 'not_retryable', message: 'No.' };
    await query(`select workflow.fail_step($1, $2, 'test', $3, true)`, [
      run,
      await claim(run),
      JSON.stringify(error),
    ]);
  };

  return { database, query, start, keys, jobs, waitingReconciliation, failRun };
}
