import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { noteApproval, readDivergenceReport } from '../../../src/dict/log/divergence-report.ts';
import { openRound } from '../../../src/dict/log/reconciliation-log.ts';
import { forgetAll, ISPB } from '../../unit/dict/entry/entries.ts';
import { useTestDatabase } from '../../support/database.ts';
import {
  answered,
  cidOf,
  found,
  KEY_TYPE,
  type Known,
  MOMENTS,
  openRun,
  POOL,
  seedLocal,
  UPDATED,
} from './support.ts';

const database = useTestDatabase();

describe('a report', () => {
  const [one, two] = POOL as [Entry, Entry];
  const moment = MOMENTS[0]!.since;

  test('it has the same sample each time, with some of each kind in it', async () => {
    const { pool } = database;
    const locals = POOL.slice(0, 30);
    await seedLocal(
      pool,
      locals.map((entry) => ({ entry, since: moment })),
    );
    const run = await openRun(pool);
    await found(pool, run, [
      ...locals.map((entry) => ({ cid: cidOf(entry), side: 'LOCAL_ONLY', decision: 'PENDING' }) as const),
      { cid: randomBytes(32), side: 'DICT_ONLY', decision: 'PENDING' },
      { cid: cidOf({ ...one, name: 'X' }), side: 'DICT_ONLY', decision: 'PENDING' },
    ]);
    await answered(pool, run, { ...one, name: 'X' });
    const [first, second] = [
      await readDivergenceReport(pool, run.runId),
      await readDivergenceReport(pool, run.runId),
    ];
    expect(second.sample).toEqual(first.sample);
    expect(new Set(first.sample.map(({ kind }) => kind))).toEqual(
      new Set(['CHANGED', 'DICT_ONLY', 'LOCAL_ONLY']),
    );
    const halves = first.sample.filter(({ key }) => key === one.key);
    expect(halves.map(({ side, before, after }) => [side, before?.name, after?.name])).toEqual(
      expect.arrayContaining([
        ['LOCAL_ONLY', one.name, undefined],
        ['DICT_ONLY', one.name, 'X'],
      ]),
    );
  });

  test('for a CID that came back it uses the day of the stay that counts', async () => {
    const { pool } = database;
    await seedLocal(pool, [{ entry: one, since: MOMENTS[0]!.since }]);
    await pool.query('update dict.entries set removed_at = now()');
    await pool.query('update dict.entries set removed_at = null, since = $1', [MOMENTS[2]!.since]);
    const run = await openRun(pool);
    await found(pool, run, [{ cid: cidOf(one), side: 'LOCAL_ONLY', decision: 'PENDING' }]);
    const days = async () => (await readDivergenceReport(pool, run.runId)).days.map(({ day }) => day);
    expect(await days()).toEqual([MOMENTS[2]!.day]);
    // Removed by the repair, then put back.
    await pool.query('update dict.entries set removed_at = now()');
    await pool.query('update dict.entries set removed_at = null, since = $1', [UPDATED.since]);
    expect(await days()).toEqual([MOMENTS[2]!.day]);
  });

  test('it covers the last comparison that ended, or the one asked for; all rounds together count each divergence once', async () => {
    const { pool } = database;
    await seedLocal(
      pool,
      [one, two].map((entry) => ({ entry, since: moment })),
    );
    const run = await openRun(pool);
    await expect(readDivergenceReport(pool, run.runId)).rejects.toMatchObject({ code: 'DV_REPORT_MISSING' });
    const [same, another] = [cidOf(one), cidOf(two)];
    await found(pool, run, [{ cid: same, side: 'LOCAL_ONLY', decision: 'REFUSED' }]);
    const round = await openRound(pool, run.runId, 0);
    expect((await readDivergenceReport(pool, run.runId)).round).toBe(1);
    const setHash = await found(pool, { runId: run.runId, round }, [
      { cid: same, side: 'LOCAL_ONLY', decision: 'PENDING' },
      { cid: another, side: 'LOCAL_ONLY', decision: 'PENDING' },
    ]);
    await noteApproval(pool, run.runId, round, 1, ['CIDS']);
    expect(await readDivergenceReport(pool, run.runId)).toMatchObject({
      round: 2,
      foundInAllRounds: 2,
      threshold: 1,
      setHash,
    });
    expect((await readDivergenceReport(pool, run.runId, 1)).kinds.cids).toBe(1);
    for (const [id, asked] of [
      [run.runId, 3],
      [randomUUID(), undefined],
    ] as const) {
      await expect(readDivergenceReport(pool, id, asked)).rejects.toMatchObject({
        code: 'DV_REPORT_MISSING',
      });
    }
  });

  test("it estimates the time by the tokens that DICT's bucket has now", async () => {
    const { pool } = database;
    await forgetAll(pool);
    const run = await openRun(pool);
    await found(
      pool,
      run,
      Array.from({ length: 25 }, () => ({ cid: randomBytes(32), side: 'DICT_ONLY', decision: 'PENDING' })),
    );
    const seconds = async () => (await readDivergenceReport(pool, run.runId)).plan.seconds;
    expect(await seconds()).toBe(0);
    await pool.query(
      `insert into dict.rate_limits values ($1, 'CIDS_ENTRIES_READ', 100, 10, interval '60 seconds', 4, workflow.now())`,
      [ISPB],
    );
    // 21 more than it has: three refills of ten.
    expect(await seconds()).toBe(180);
    await pool.query("update dict.rate_limits set refilled_at = refilled_at - interval '61 seconds'");
    expect(await seconds()).toBe(120);
    await pool.query('delete from dict.rate_limits');
  });
});

test('100,000 divergences are counted by kind', async () => {
  const { pool } = database;
  await forgetAll(pool);
  await pool.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, branch, account_number, account_type, since)
     select $1, $2, 'k' || n || '@example.com', gen_random_uuid(), 'NATURAL_PERSON', '11122233300', 'N', lpad((n % 300)::text, 4, '0'), n::text, 'CACC',
       timestamptz '2025-01-01' + n % 400 * interval '1 day'
     from generate_series(1, 60000) n`,
    [ISPB, KEY_TYPE],
  );
  // Half of them have changed since, and DICT has what they were.
  await pool.query(
    `update dict.entries set account_number = account_number || '0' where account_number::int % 2 = 0`,
  );
  const run = await openRun(pool);
  const { rows } = await pool.query<{ cid: Buffer; side: Known['side'] }>(
    `select cid, 'LOCAL_ONLY' as side from dict.entries
     union all select cid, 'DICT_ONLY' from dict.cid_log
     union all select sha256(n::text::bytea), 'DICT_ONLY' from generate_series(1, 10000) n`,
  );
  await found(
    pool,
    run,
    rows.map((row) => ({ ...row, decision: 'PENDING' })),
  );
  await pool.query('analyze dict.entries, dict.cid_history, dict.cid_changes, dict.divergences');
  // If each were compared with each, this would end by the time limit.
  const report = await readDivergenceReport(pool, run.runId);
  expect(report.kinds).toEqual({
    cids: 100_000,
    pending: 100_000,
    dictOnly: 10_000,
    unknownKeys: 10_000,
    localOnly: 30_000,
    changedKeys: 30_000,
    changedCids: 60_000,
  });
}, 120_000);
