import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import {
  considerFileAge,
  earlierCidFiles,
  intendCidFile,
  largestFile,
  noteCidFile,
  refuseCidFile,
  useCidFile,
  whyUnusable,
  withdrawIntent,
} from '../../../../src/dict/log/cid-files.ts';
import { openReconciliation, openRound } from '../../../../src/dict/log/reconciliation-log.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, forgetAll, insert, keys } from '../entry/entries.ts';

const database = useTestDatabase();
let run: string;

beforeEach(async () => {
  await forgetAll(database.pool);
  await database.pool.query('delete from dict.reconciliations; delete from dict.sync_verifications');
  await insert(database.pool, keys('EMAIL', 3));
  run = await anotherRun();
});

async function anotherRun(participant = ISPB, keyType: 'EMAIL' | 'PHONE' = 'EMAIL'): Promise<string> {
  const id = randomUUID();
  await openReconciliation(database.pool, id, participant, keyType);
  await openRound(database.pool, id, 0);
  return id;
}

/** A file that the first round of a run asked for. */
async function asked(of: string, id: string, status = 'PROCESSING'): Promise<string> {
  const { id: row } = await intendCidFile(database.pool, of, 1);
  await noteCidFile(database.pool, row, { id, status });
  await useCidFile(database.pool, of, 1, row);
  return row;
}

const later = (interval: string) => database.pool.query('select workflow.advance_clock($1)', [interval]);
const earlier = async (maxHours = 6) =>
  (await earlierCidFiles(database.pool, ISPB, 'EMAIL', maxHours)).map(({ id }) => id);
const roundOf = async (of: string) =>
  (
    await database.pool.query<{ file: string; snapshot: string; at: Date; margin: Date }>(
      `select file_id as file, snapshot::text, snapshot_at as at, margin_starts_at as margin from dict.rounds where run_id = $1`,
      [of],
    )
  ).rows[0]!;

test('each CID file is recorded before it is requested, and the given files are counted per round', async () => {
  await openRound(database.pool, run, 0);
  const first = await intendCidFile(database.pool, run, 1);
  expect(first.given).toBe(0);
  // The crash between call and answer: requested, not given.
  expect((await intendCidFile(database.pool, run, 1)).given).toBe(0);
  await noteCidFile(database.pool, first.id, { id: '77', status: 'REQUESTED' });
  await refuseCidFile(database.pool, first.id, 'DV_FILE_SHA256_WRONG');
  expect((await intendCidFile(database.pool, run, 1)).given).toBe(1);
  expect((await intendCidFile(database.pool, run, 2)).given).toBe(0);
  const creationTime = '2026-01-10T10:00:00Z';
  await noteCidFile(database.pool, first.id, {
    id: '77',
    status: 'AVAILABLE',
    bytes: 130,
    sha256: 'ab',
    creationTime,
  });
  const { rows } = await database.pool.query(
    `select dict_id, status, bytes::int, sha256, creation_time, refused_code from dict.cid_files where id = $1`,
    [first.id],
  );
  expect(rows).toEqual([
    {
      dict_id: '77',
      status: 'AVAILABLE',
      bytes: 130,
      sha256: 'ab',
      creation_time: new Date(creationTime),
      refused_code: 'DV_FILE_SHA256_WRONG',
    },
  ]);
});

test('an intent whose call was not made is removed; one that was answered stays', async () => {
  const { id } = await intendCidFile(database.pool, run, 1);
  const answered = await asked(run, '5');
  await withdrawIntent(database.pool, id);
  await withdrawIntent(database.pool, answered);
  const { rows } = await database.pool.query('select id from dict.cid_files');
  expect(rows).toEqual([{ id: answered }]);
});

test('why the files of a round were not used: each reason once', async () => {
  for (const id of ['1', '2']) await refuseCidFile(database.pool, await asked(run, id), 'DV_FILE_TOO_LARGE');
  await asked(run, '3', 'ERROR');
  expect(await whyUnusable(database.pool, run, 1)).toBe('DV_FILE_TOO_LARGE, ERROR');
});

test('earlier files are found newest first, of this participant and key type, while they are young enough', async () => {
  await asked(run, 'old');
  await later('3 hours');
  await asked(await anotherRun(), 'new');
  await asked(await anotherRun('99999999'), 'of another participant');
  await asked(await anotherRun(ISPB, 'PHONE'), 'of another key type');
  // An intent without an answer has no id to ask for.
  await intendCidFile(database.pool, run, 1);
  expect(await earlier()).toEqual(['new', 'old']);
  expect(await earlier(2)).toEqual(['new']);
  expect(await earlier(0)).toEqual([]);
  const [newest, oldest] = await earlierCidFiles(database.pool, ISPB, 'EMAIL', 6);
  expect([newest?.recent, oldest?.recent]).toEqual([true, false]);
});

test('at most three are looked at', async () => {
  for (const id of ['1', '2', '3', '4']) {
    await asked(await anotherRun(), id);
    await later('1 minute');
  }
  expect(await earlier()).toEqual(['4', '3', '2']);
});

test('a file that was refused, failed or compared with is not used again, nor one older than that', async () => {
  await refuseCidFile(database.pool, await asked(run, 'refused'), 'DV_FILE_SHA256_WRONG');
  await asked(run, 'failed', 'ERROR');
  await asked(run, 'unavailable', 'UNAVAILABLE');
  expect(await earlier()).toEqual([]);
  await asked(await anotherRun(), 'older');
  await later('1 minute');
  const used = await anotherRun();
  await asked(used, 'used', 'AVAILABLE');
  expect(await earlier()).toEqual(['used', 'older']);
  await database.pool.query('update dict.rounds set compared_at = workflow.now() where run_id = $1', [used]);
  expect(await earlier()).toEqual([]);
  await later('1 minute');
  await asked(await anotherRun(), 'newer');
  expect(await earlier()).toEqual(['newer']);
});

test('after an OK no file from before it is used', async () => {
  await asked(run, 'before');
  await database.pool.query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     select $1, 'VERIFICATION', $2, t, '', 0, workflow.now(), workflow.now() + interval '1 second', r
     from (values ('EMAIL', 'NOK'), ('PHONE', 'OK')) v (t, r)`,
    [run, ISPB],
  );
  expect(await earlier()).toEqual(['before']);
  await database.pool.query(`update dict.sync_verifications set result = 'OK'`);
  expect(await earlier()).toEqual([]);
});

test('a file that was available three times and never compared with is left', async () => {
  const row = await asked(run, 'tried', 'AVAILABLE');
  await useCidFile(database.pool, await anotherRun(), 1, row);
  expect(await earlier()).toEqual(['tried']);
  await useCidFile(database.pool, await anotherRun(), 1, row);
  expect(await earlier()).toEqual([]);
  // One that never became available can still come.
  await noteCidFile(database.pool, row, { id: 'tried', status: 'PROCESSING' });
  expect(await earlier()).toEqual(['tried']);
});

test('the round that uses a file has the snapshot of the round that asked for it', async () => {
  const row = await asked(run, 'late');
  const first = await roundOf(run);
  await later('20 minutes');
  const second = await anotherRun();
  expect((await roundOf(second)).snapshot).not.toBe(first.snapshot);
  await useCidFile(database.pool, second, 1, row);
  expect(await roundOf(second)).toEqual(first);
  expect(first.file).toBe(row);
});

test("a file made before it was asked for makes the margin longer, by DICT's clock, however often it is considered", async () => {
  const { at } = await roundOf(run);
  const about = { id: '1', status: 'AVAILABLE' } as Parameters<typeof considerFileAge>[3];
  const requestTime = '2020-01-01T10:00:00Z';
  await considerFileAge(
    database.pool,
    run,
    1,
    { ...about, requestTime, creationTime: '2020-01-01T10:00:09Z' },
    30,
  );
  expect((await roundOf(run)).margin).toEqual(at);
  for (let n = 0; n < 2; n++) {
    const creationTime = '2020-01-01T09:59:00Z';
    await considerFileAge(database.pool, run, 1, { ...about, requestTime, creationTime }, 30);
    expect((await roundOf(run)).margin.getTime()).toBe(at.getTime() - 90_000);
  }
});

test('the largest believable file is what is always allowed, or four times what the known keys need', async () => {
  expect(await largestFile(database.pool, ISPB, 'EMAIL', 1000)).toBe(1000);
  expect(await largestFile(database.pool, ISPB, 'EMAIL', 100)).toBe(3 * 66 * 4);
  // Known at DICT: what its last file contained.
  await database.pool.query('update dict.rounds set file_cids = 10, compared_at = workflow.now()');
  expect(await largestFile(database.pool, ISPB, 'EMAIL', 100)).toBe(13 * 66 * 4);
  expect(await largestFile(database.pool, ISPB, 'PHONE', 100)).toBe(100);
});
