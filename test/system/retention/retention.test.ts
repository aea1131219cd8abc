import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { countExpired, removeExpired } from '../../../src/dict/log/retention.ts';
import { startRun, storeMachines } from '../../../src/engine/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { removeLeftFiles } from '../../../src/service/temp-files.ts';
import { cli, expectRefusal } from '../../unit/cli/support.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
  await storeMachines(database.pool, machines);
  return async () => database.drop();
});
const query = async (sql: string, values: unknown[] = []) =>
  (await database.pool.query(sql, values)).rows as unknown[];
const count = async (table: string) =>
  (await database.pool.query<{ n: number }>(`select count(*)::integer as n from ${table}`)).rows[0]!.n;
const years = { runDays: 90, auditDays: 730 };

/** Lets days pass for the workflows. */
const pass = async (days: number) =>
  query(`update workflow.clock set offset_by = offset_by + $1 * interval '1 day'`, [days]);

/** A run that was started and cancelled, with a signal and a history. */
async function closedRun(key: string): Promise<string> {
  const run = await startRun(database.pool, 'verification_schedule', key, {}, 'test');
  await query(`select workflow.signal($1, 'tick')`, [run]);
  await query('select workflow.cancel($1)', [run]);
  return run;
}

/** What a reconciliation leaves behind: two divergences, an undo of one. */
async function reconciled(keyType: string): Promise<string> {
  const run = await closedRun(`reconciled ${keyType}`);
  await query(
    `insert into dict.reconciliations (run_id, participant, key_type, started_at, ended_at, vsync_before, entries_before)
     values ($1, $2, $3, workflow.now(), workflow.now(), '', 0)`,
    [run, ISPB, keyType],
  );
  await query(
    `insert into dict.divergences (run_id, round, cid, side, key) values ($1, 1, '\\x01', 'DICT_ONLY', 'a'), ($1, 1, '\\x02', 'LOCAL_ONLY', 'b')`,
    [run],
  );
  return run;
}

const undone = async (run: string) =>
  query(
    `with u as (insert into dict.undos (undo_run_id, run_id, participant, key_type, by_whom, asked_at, ended_at)
       values (workflow.uuidv7(), $1, $2, 'CPF', 'Ana', workflow.now(), workflow.now()) returning *),
     k as (insert into dict.undone (undo_run_id, run_id, participant, key_type, key, decision, result, at)
       select undo_run_id, run_id, participant, key_type, 'a', 'ADDED', 'UNDONE', asked_at from u)
     insert into dict.held_keys (participant, key_type, key, undo_run_id, by_whom, held_at)
     select participant, key_type, 'a', undo_run_id, 'Ana', asked_at from u`,
    [run, ISPB],
  );

const proof = async (result: 'OK' | 'NOK') =>
  query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     values (workflow.uuidv7(), 'VERIFICATION', $1, 'CPF', '', 0, workflow.now(), workflow.now(), $2)`,
    [ISPB, result],
  );

describe('closed runs', () => {
  test('are deleted at their age with history, signals and ticks; open ones, their parents and younger ones stay', async () => {
    await closedRun('old');
    const parent = await closedRun('parent of an open one');
    await startRun(database.pool, 'verification_schedule', 'open', {}, 'test');
    await query(
      `update workflow.runs set parent_id = $1, parent_close_policy = 'ABANDON' where workflow_key = 'open'`,
      [parent],
    );
    await query(`insert into workflow.schedules values ('nightly', workflow.now())`);
    await query(
      `insert into workflow.schedule_ticks values ('nightly', workflow.now(), 'FIRED', workflow.now())`,
    );
    await pass(89);
    expect(await removeExpired(database.pool, years)).toBe(0);
    await closedRun('young');
    await pass(2);
    expect(await countExpired(database.pool, years)).toMatchObject({ runs: 1 });
    expect(await removeExpired(database.pool, years)).toBe(2);
    expect(await query('select workflow_key as key from workflow.runs order by 1')).toEqual([
      { key: 'open' },
      { key: 'parent of an open one' },
      { key: 'young' },
    ]);
    expect(
      await query(
        'select from workflow.history h left join workflow.runs r on r.id = h.run_id where r.id is null',
      ),
    ).toEqual([]);
    expect(await count('workflow.signals')).toBe(2);
    expect(await count('workflow.schedule_ticks')).toBe(0);
  });

  test('of a chain that continued itself are deleted from its old end, and the open one stays', async () => {
    const first = await closedRun('chain');
    const second = await startRun(database.pool, 'verification_schedule', 'chain', {}, 'test');
    await query('update workflow.runs set continued_from = $1 where id = $2', [first, second]);
    await pass(91);
    expect(await removeExpired(database.pool, years)).toBe(1);
    expect(await query('select id, continued_from from workflow.runs')).toEqual([
      { id: second, continued_from: null },
    ]);
  });

  test('are deleted in small transactions, and several simultaneous workers take each once', async () => {
    for (let n = 0; n < 7; n += 1) await closedRun(`run ${n}`);
    await pass(91);
    const removed = await Promise.all(
      [1, 2, 3].map(async () => query(`select workflow.remove_expired_runs('90 days', 2) as n`)),
    );
    for (const [row] of removed) expect((row as { n: number }).n).toBeLessThanOrEqual(2);
    const rest = 7 - removed.reduce((sum, [row]) => sum + (row as { n: number }).n, 0);
    expect(await count('workflow.runs')).toBe(rest);
    expect(await removeExpired(database.pool, years)).toBe(rest);
  });

  test('take along the jobs that Graphile Worker gave up, but not the jobs of others', async () => {
    await query(`select graphile_worker.add_job(task, '{}', max_attempts => most)
      from (values ('read_all_vsyncs', 25), ('advance_run', 25), ('advance_run', 3), ('of the bank', 25)) v (task, most)`);
    const old = `update graphile_worker._private_jobs set attempts = max_attempts, run_at = now() - interval '8 days'`;
    await query(old);
    expect(await removeExpired(database.pool, years)).toBe(2);
    expect(
      await query(
        'select task_identifier as task, max_attempts as most from graphile_worker.jobs order by 2',
      ),
    ).toEqual([
      { task: 'advance_run', most: 3 },
      { task: 'of the bank', most: 25 },
    ]);
  });
});

describe('what an auditor asks for', () => {
  test('is kept for ever unless a setting says otherwise, and CIDs are always kept', async () => {
    await query(
      `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       values ($1, 'CPF', 'k', gen_random_uuid(), 'NATURAL_PERSON', '1', 'n', '1', 'CACC')`,
      [ISPB],
    );
    await query(`delete from dict.entries`);
    await reconciled('CPF');
    await proof('NOK');
    await pass(36_500);
    await removeExpired(database.pool, { runDays: 90, auditDays: 0 });
    expect(await count('workflow.runs')).toBe(0);
    for (const table of ['dict.reconciliations', 'dict.sync_verifications', 'dict.cid_log']) {
      expect(await count(table)).toBe(1);
    }
    await removeExpired(database.pool, years);
    expect(await count('dict.cid_log')).toBe(1);
  });

  test('is deleted at its age: the divergences in small parts, the last OK never', async () => {
    const run = await reconciled('CPF');
    await undone(run);
    await reconciled('PHONE');
    for (const result of ['OK', 'NOK', 'OK', 'NOK'] as const) await proof(result);
    await query(
      `insert into dict.verifications values (workflow.uuidv7(), $1, '{CPF}', workflow.now(), workflow.now(), 'IN_SYNC', '{}')`,
      [ISPB],
    );
    await pass(800);
    await reconciled('EVP');
    await pass(1);
    // A key is still held because of it: its reconciliation is needed.
    const before = await countExpired(database.pool, { runDays: 0, auditDays: 730 });
    expect(before).toEqual({
      runs: 0,
      reconciliations: 1,
      divergences: 2,
      syncVerifications: 3,
      verifications: 1,
    });
    await query(`update dict.held_keys set released_at = workflow.now(), released_by = 'Ana'`);
    expect(await countExpired(database.pool, years)).toMatchObject({ reconciliations: 2, divergences: 4 });
    expect(await query(`select dict.remove_expired_audit('730 days', 3) as n`)).toEqual([{ n: 3 }]);
    expect(await count('dict.reconciliations')).toBe(3);
    await removeExpired(database.pool, years);
    expect(await query('select key_type from dict.reconciliations')).toEqual([{ key_type: 'EVP' }]);
    expect(await count('dict.divergences')).toBe(2);
    expect(await count('dict.undone')).toBe(0);
    expect(await query('select result from dict.sync_verifications')).toEqual([{ result: 'OK' }]);
    expect(await count('dict.verifications')).toBe(0);
  });
});

test('what a reconciliation found can be reported after its run was deleted', async () => {
  const run = await reconciled('CPF');
  await query(
    `insert into dict.rounds (run_id, round, snapshot, snapshot_at, margin_starts_at, set_hash, compared_at)
     values ($1, 1, pg_current_snapshot(), workflow.now(), workflow.now(), 'abc', workflow.now())`,
    [run],
  );
  await pass(91);
  expect(await removeExpired(database.pool, years)).toBe(1);
  const env = { DATABASE_URL: database.url };
  expect((await cli(['report', run, '--json'], { env })).json()).toMatchObject({
    report: { setHash: 'abc' },
  });
  const other = '01900000-0000-7000-8000-000000000001';
  expectRefusal(await cli(['report', other], { env }), 1, 'DV_RUN_NOT_FOUND');
});

test('the command says what it would delete, then deletes it', async () => {
  await closedRun('old');
  await pass(91);
  const env = { DATABASE_URL: database.url };
  const dry = await cli(['retention', '--dry-run', '--json'], { env });
  expect(dry.json()).toMatchObject({ runDays: 90, auditDays: 0, expired: { runs: 1 }, removed: 0 });
  expect((await cli(['retention'], { env })).stdout).toMatch(/closed runs +1\n[^]*removed/);
  expect(await count('workflow.runs')).toBe(0);
});

test('temporary folders are deleted with their run, and old ones that belong to no run; others stay', async () => {
  const temp = await mkdtemp(join(tmpdir(), 'dict-vsync-retention-'));
  onTestFinished(async () => rm(temp, { recursive: true }));
  const closed = await closedRun('closed');
  const open = await startRun(database.pool, 'verification_schedule', 'open', {}, 'test');
  const [old, young] = ['01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000002'];
  for (const name of [closed, open, old, young, 'not ours']) await mkdir(join(temp, name));
  const long = new Date(Date.now() - 8 * 86_400_000);
  for (const name of [open, old, 'not ours']) await utimes(join(temp, name), long, long);
  await removeLeftFiles(database.pool, temp);
  expect((await readdir(temp)).sort()).toEqual([open, young, 'not ours'].sort());
});
