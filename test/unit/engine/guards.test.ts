import { beforeAll, describe, expect, test } from 'vitest';
import { machineOver, retryRun, startRun, storeMachines } from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { rowOf } from './support.ts';

const activities = { work: scripted<'done' | 'skip'>('done') };
const steps = machineOver<typeof activities>()({
  name: 'steps',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two', skip: 'wait' } },
    two: { kind: 'activity', task: 'work', on: { done: 'end', skip: 'wait' }, retry: { maxAttempts: 1 } },
    wait: { kind: 'wait', signals: ['go'], on: { go: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});

describe('no SQL statement breaks a machine', () => {
  const { database, script, executor } = useEngine({ machines: [steps], activities });
  let open = '';
  let closed = '';
  let failed = '';

  beforeAll(async () => {
    const { pool } = database;
    open = await startRun(pool, 'steps', 'open', {}, 'test');
    closed = await startRun(pool, 'steps', 'closed', {}, 'test');
    await executor.advance(closed);
    failed = await startRun(pool, 'steps', 'failed', {}, 'test');
    script.on('failed', 'two', () => {
      throw new Error('on purpose');
    });
    await executor.advance(failed);
    expect((await rowOf(pool, failed)).status).toBe('FAILED');
  });

  /** Runs a statement that must be refused, and compares all rows before and after. */
  async function refused(sql: string, values: unknown[] = []): Promise<{ code: string; detail: string }> {
    const all = `select (select jsonb_agg(r order by r.id) from workflow.runs r) as runs,
                        (select jsonb_agg(h order by h.id) from workflow.history h) as history`;
    const before = await database.pool.query(all);
    const error = await database.pool.query(sql, values).then(
      () => {
        throw new Error(`not refused: ${sql}`);
      },
      (refusal: { code: string; detail: string }) => refusal,
    );
    expect((await database.pool.query(all)).rows).toEqual(before.rows);
    return error;
  }

  const CLOSING = `closed_at = now(), wake_at = null`;
  test.each([
    ['a state that does not exist', `state = 'nowhere'`],
    ['a state to which no transition leads', `state = 'end', status = 'COMPLETED', ${CLOSING}`],
    ['a status that does not match the state', `status = 'COMPLETED', ${CLOSING}`],
    ['waiting where the state does not wait', `status = 'WAITING'`],
    [
      'a transition into a wait, with an end as its status',
      `state = 'wait', status = 'REJECTED', ${CLOSING}`,
    ],
    ['another key', `workflow_key = 'other'`],
    ['another machine', `machine = 'other'`],
    ['another version of the machine', 'machine_version = 2'],
    ['another id', 'id = workflow.uuidv7()'],
  ])('an open run cannot be changed to: %s', async (_what, change) => {
    const error = await refused(`update workflow.runs set ${change} where id = $1`, [open]);
    expect(error).toMatchObject({ code: 'DV000', detail: 'DV_TRANSITION_FORBIDDEN' });
  });

  test('an open run is never in an end state', async () => {
    const two = await startRun(database.pool, 'steps', 'in two', {}, 'test');
    await database.pool.query(`update workflow.runs set state = 'two', status = 'RUNNING' where id = $1`, [
      two,
    ]);
    const error = await refused(`update workflow.runs set state = 'end' where id = $1`, [two]);
    expect(error.detail).toBe('DV_TRANSITION_FORBIDDEN');
  });

  test.each([
    ['state', `state = 'one'`],
    ['status', `status = 'FAILED'`],
    ['context', `context = '{"x": 1}'`],
    ['input', `input = '{"x": 1}'`],
    ['end', `closed_at = now()`],
    ['open again', `status = 'RUNNING', closed_at = null`],
    ['open again elsewhere', `status = 'RUNNING', state = 'one', closed_at = null`],
  ])('a closed run does not change: %s', async (_what, change) => {
    const error = await refused(`update workflow.runs set ${change} where id = $1`, [closed]);
    expect(error).toMatchObject({ code: 'DV000', detail: 'DV_RUN_CLOSED' });
  });

  test('a failed run opens again only in the state that failed, with a status that matches it', async () => {
    const elsewhere = `update workflow.runs set status = 'RUNNING', state = 'one', closed_at = null where id = $1`;
    expect(await refused(elsewhere, [failed])).toMatchObject({ detail: 'DV_RUN_CLOSED' });
    const waiting = `update workflow.runs set status = 'WAITING', closed_at = null where id = $1`;
    expect(await refused(waiting, [failed])).toMatchObject({ detail: 'DV_TRANSITION_FORBIDDEN' });
    expect(await retryRun(database.pool, failed, 'test', null)).toBe('two');
  });

  test('a run begins PENDING in the initial state of an existing machine', async () => {
    const insert = (machine: string, state: string, status: string) =>
      refused(
        `insert into workflow.runs (machine, machine_version, workflow_key, state, status, started_by,
           correlation_id, entered_at, created_at, updated_at)
         values ($1, 1, 'new', $2, $3, 'test', 'c', now(), now(), now())`,
        [machine, state, status],
      );
    for (const [machine, state, status] of [
      ['steps', 'two', 'PENDING'],
      ['steps', 'nowhere', 'PENDING'],
      ['steps', 'one', 'RUNNING'],
      ['none', 'one', 'PENDING'],
    ] as const) {
      expect((await insert(machine, state, status)).detail).toBe('DV_TRANSITION_FORBIDDEN');
    }
  });

  test('two open runs cannot have one key', async () => {
    const error = await refused(
      `insert into workflow.runs (machine, machine_version, workflow_key, state, started_by, correlation_id,
         entered_at, created_at, updated_at)
       values ('steps', 1, 'open', 'one', 'test', 'c', now(), now(), now())`,
    );
    expect(error.code).toBe('23505');
  });

  test('history does not change', async () => {
    const error = await refused(`update workflow.history set outcome = 'other' where run_id = $1`, [closed]);
    expect(error.detail).toBe('DV_HISTORY_APPEND_ONLY');
  });

  test('history is deleted only with its run', async () => {
    const error = await refused('delete from workflow.history where run_id = $1', [closed]);
    expect(error.detail).toBe('DV_HISTORY_APPEND_ONLY');
    const { pool } = database;
    const { rows } = await pool.query<{ id: string }>(`select workflow.start_run('steps', 'goes') as id`);
    await pool.query('select workflow.cancel($1)', [rows[0]?.id]);
    await pool.query('delete from workflow.runs where id = $1', [rows[0]?.id]);
    const left = await pool.query('select from workflow.history where run_id = $1', [rows[0]?.id]);
    expect(left.rowCount).toBe(0);
  });

  test('the states of existing runs stay', async () => {
    const error = await refused(`delete from workflow.states where machine = 'steps' and state = 'one'`);
    expect(error.code).toBe('23503');
  });

  test('removing a parent leaves its closed children as they are, except for the link', async () => {
    const { pool } = database;
    const { rows } = await pool.query<{ id: string }>(
      `select workflow.start_run('steps', 'child', '{}', 'test', null, $1, 'ABANDON') as id`,
      [closed],
    );
    const child = rows[0]?.id ?? '';
    await pool.query('select workflow.cancel($1)', [child]);
    await pool.query('delete from workflow.runs where id = $1', [closed]);
    expect(await rowOf(pool, child)).toMatchObject({ status: 'CANCELLED', parent_id: null });
    await storeMachines(pool, [steps]);
  });
});
