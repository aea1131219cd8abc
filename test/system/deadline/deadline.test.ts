import { readSettings } from '../../../src/settings.ts';
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { readDeadlines } from '../../../src/dict/vsync/deadline.ts';
import { checkWarnings, configureWarnings } from '../../../src/dict/vsync/warnings.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { configureParticipants } from '../../../src/dict/vsync/vsync-store.ts';
import { createHealth, createMetrics } from '../../../src/http/index.ts';
import { cli } from '../../unit/cli/support.ts';
import { insert, keys } from '../../unit/dict/entry/entries.ts';
import { startIdleWorker } from '../../unit/http/idle-worker.ts';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';
import { advanceClock } from '../../support/clock.ts';

const database = useTestDatabase();
const OTHER = '87654321';

beforeEach(async () => {
  await database.pool
    .query(`truncate dict.participants, dict.warning_alerts, dict.sync_verifications, dict.outbox;
    update workflow.clock set offset_by = '0'`);
  await configureHours(36);
  await configureParticipants(database.pool, [ISPB]);
});

/** The earlier warning has hours of its own, which never end here. */
async function configureHours(deadlineHours: number) {
  const others = { freshOkHours: 1e6, approvalHours: 1, alerts: false };
  await configureWarnings(database.pool, { deadlineHours, ...others });
}

const advance = async (interval: string) => advanceClock(database.pool, interval);

/** DICT's answer to a VSync, now by the workflows' clock. */
async function answer(
  result: 'OK' | 'NOK' | 'ERROR',
  keyTypes: readonly string[] = KEY_TYPES,
  participant = ISPB,
) {
  await database.pool.query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     select $1, 'VERIFICATION', $2, t, repeat('0', 64), 0, workflow.now(), workflow.now(), $4 from unnest($3::text[]) t`,
    [randomUUID(), participant, keyTypes, result],
  );
}

/** The key types for which an alert is raised now. */
async function raised(hours = 36): Promise<string[]> {
  await configureHours(hours);
  return (await breaches()).map(({ keyType }) => keyType);
}

async function breaches(db: Pick<typeof database.pool, 'query'> = database.pool) {
  return (await checkWarnings(db)).filter(({ change }) => change === 'RAISED');
}

async function messages(): Promise<
  { participant: string; key_type: string; type: string; payload: unknown }[]
> {
  const { rows } = await database.pool.query<{
    participant: string;
    key_type: string;
    type: string;
    payload: unknown;
  }>('select participant, key_type, type, payload from dict.outbox order by participant, key_type, sequence');
  return rows;
}

const ALL = [...KEY_TYPES].sort();

test('an alert is raised once per breach, and again only after an OK was followed by another breach', async () => {
  await answer('OK');
  await advance('35 hours 59 minutes');
  expect(await raised()).toEqual([]);
  await advance('2 minutes');
  expect(await raised()).toEqual(ALL);
  expect(await raised()).toEqual([]);
  await advance('100 hours');
  expect(await raised()).toEqual([]);

  await answer('OK', ['CPF']);
  await answer('NOK', ['EVP']);
  await answer('ERROR', ['PHONE']);
  expect(await raised()).toEqual([]);
  await advance('37 hours');
  expect(await raised()).toEqual(['CPF']);
  expect(await raised()).toEqual([]);
});

test('an OK is good for 36 hours, to the second, unless a setting says otherwise', async () => {
  const { SYNC_DEADLINE_HOURS } = readSettings({ PARTICIPANT_ISPB: ISPB });
  await answer('OK');
  await advance('35 hours 59 minutes 58 seconds');
  expect(await raised(SYNC_DEADLINE_HOURS)).toEqual([]);
  await advance('2 seconds');
  expect(await raised(SYNC_DEADLINE_HOURS)).toEqual(ALL);
});

test('without any OK the hours count from when the participant was configured', async () => {
  await answer('NOK');
  await advance('35 hours');
  expect(await raised()).toEqual([]);
  await advance('90 minutes');
  expect(await raised()).toEqual(ALL);
  expect(await raised()).toEqual([]);
  // Another worker's start configures it again: the breach stays the same.
  await configureParticipants(database.pool, [ISPB]);
  expect(await raised()).toEqual([]);
});

test('only configured participants get an alert, each by itself', async () => {
  await insert(database.pool, keys('CPF', 1, 1, '11111111'));
  await answer('OK', KEY_TYPES, '11111111');
  await configureParticipants(database.pool, [ISPB, OTHER]);
  await answer('OK');
  await answer('OK', KEY_TYPES, OTHER);
  await advance('20 hours');
  await answer('OK', KEY_TYPES, OTHER);
  await advance('20 hours');
  expect(await raised()).toEqual(ALL);
  expect(new Set((await messages()).map(({ participant }) => participant))).toEqual(new Set([ISPB]));
  await advance('20 hours');
  expect((await breaches()).map(({ participant }) => participant)).toEqual(ALL.map(() => OTHER));
});

test('several workers simultaneously publish one message per breach', async () => {
  await advance('40 hours');
  const all = await Promise.all(Array.from({ length: 8 }, async () => raised()));
  expect(all.flat().sort()).toEqual(ALL);
  expect((await messages()).map(({ key_type }) => key_type)).toEqual(ALL);
});

test('the hours are a setting', async () => {
  await answer('OK');
  await advance('13 hours');
  expect(await raised(24)).toEqual([]);
  expect(await raised(12)).toEqual(ALL);
  expect(await raised(12)).toEqual([]);
  expect((await readDeadlines(database.pool)).every(({ missed }) => missed)).toBe(true);
});

test('an alert that is rolled back is raised again', async () => {
  await advance('40 hours');
  const client = await database.pool.connect();
  await client.query('begin');
  expect((await breaches(client)).length).toBe(5);
  await client.query('rollback');
  client.release();
  expect(await messages()).toEqual([]);
  expect(await raised()).toEqual(ALL);
});

test('the message says since when, what DICT said last, and what is in progress; sync_status says so too', async () => {
  await answer('OK', ['CPF']);
  await advance('1 hour');
  await answer('NOK', ['CPF']);
  await advance('36 hours');
  expect(await raised()).toContain('CPF');
  const [status] = (
    await database.pool.query<{
      last_ok_at: Date;
      deadline_at: Date;
      deadline_missed: boolean;
      deadline_alerted_at: Date | null;
    }>(`select * from dict.sync_status where participant = $1 and key_type = 'CPF'`, [ISPB])
  ).rows;
  expect(status).toMatchObject({ deadline_missed: true, deadline_alerted_at: expect.any(Date) as Date });
  expect(status!.deadline_at.getTime() - status!.last_ok_at.getTime()).toBe(36 * 3_600_000);
  const message = (await messages()).find(({ key_type }) => key_type === 'CPF');
  expect(message).toEqual({
    participant: ISPB,
    key_type: 'CPF',
    type: 'sync.deadline_missed',
    payload: {
      hours: 36,
      lastOkAt: status!.last_ok_at.toISOString(),
      countedFrom: status!.last_ok_at.toISOString(),
      deadlineAt: status!.deadline_at.toISOString(),
      lastResult: 'NOK',
      openReconciliation: null,
    },
  });
  await answer('OK');
  const { rows } = await database.pool.query<{ missed: boolean; alerted: Date | null }>(
    'select deadline_missed as missed, deadline_alerted_at as alerted from dict.sync_status where participant = $1',
    [ISPB],
  );
  expect(rows).toEqual(ALL.map(() => ({ missed: false, alerted: null })));
});

test('list shows what is missed, above the runs, and all deadlines as JSON', async () => {
  const list = async (...args: string[]) => cli(['list', ...args], { env: { DATABASE_URL: database.url } });
  await answer('OK');
  expect((await list()).stdout).toBe('No run matches.\n');
  await advance('30 hours');
  await answer(
    'OK',
    KEY_TYPES.filter((keyType) => keyType !== 'PHONE'),
  );
  await advance('10 hours');
  await raised();
  const lines = (await list()).stdout.split('\n');
  expect(lines[0]).toMatch(
    /^Deadline missed: 12345678 PHONE\. DICT's OK was due at \S+Z; the last OK was at \S+Z\. Run `dict-vsync list`/,
  );
  expect(lines.slice(1)).toEqual(['No run matches.', '']);
  const { deadlines } = (await list('--json')).json<{ deadlines: { keyType: string; missed: boolean }[] }>();
  expect(deadlines).toHaveLength(5);
  expect(deadlines.filter(({ missed }) => missed)).toEqual([
    {
      participant: ISPB,
      keyType: 'PHONE',
      lastOkAt: expect.any(String) as string,
      deadlineAt: expect.any(String) as string,
      missed: true,
      alertedAt: expect.any(String) as string,
    },
  ]);
});

test('a metric by participant and key type is 0, and 1 while the deadline is missed', async () => {
  const { registry } = createMetrics(database.pool);
  const scrape = async () =>
    (await registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('dict_vsync_deadline_missed{'))
      .sort();
  const line = (keyType: string, value: number) =>
    `dict_vsync_deadline_missed{participant="${ISPB}",key_type="${keyType}"} ${value}`;
  // Keys of a participant that is not configured: no deadline, no series.
  await insert(database.pool, keys('CPF', 1, 2, '22222222'));
  await answer('OK');
  expect(await scrape()).toEqual(ALL.map((keyType) => line(keyType, 0)));
  await advance('37 hours');
  await answer('OK', ['EVP']);
  expect(await scrape()).toEqual(ALL.map((keyType) => line(keyType, keyType === 'EVP' ? 0 : 1)));
});

test('a missed deadline is a warning of /readyz, and the worker stays ready', async () => {
  const worker = await startIdleWorker(database.pool);
  const health = createHealth({ pool: database.pool, worker });
  await answer(
    'OK',
    ALL.filter((keyType) => keyType !== 'CNPJ'),
  );
  expect(await health.check()).toEqual({ ready: true, reasons: [], warnings: [] });
  await advance('30 hours');
  await answer(
    'OK',
    ALL.filter((keyType) => !['CPF', 'CNPJ'].includes(keyType)),
  );
  await advance('7 hours');
  const readiness = await health.check();
  expect(readiness).toMatchObject({ ready: true, reasons: [] });
  expect(readiness.warnings).toEqual([
    {
      warning: 'deadline_missed',
      participant: ISPB,
      keyType: 'CNPJ',
      message: expect.stringMatching(
        /^DICT's OK was due at \S+Z; DICT has never answered OK\. Run /,
      ) as string,
    },
    {
      warning: 'deadline_missed',
      participant: ISPB,
      keyType: 'CPF',
      message: expect.stringMatching(/; the last OK was at \S+Z\. Run /) as string,
    },
  ]);
  await worker.stop();
});
