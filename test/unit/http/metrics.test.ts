import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { createPool } from '../../../src/database/pool.ts';
import { storeMachines } from '../../../src/engine/index.ts';
import { createMetrics, type Metrics } from '../../../src/http/metrics.ts';
import { machines } from '../../../src/workflows/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { startStallingProxy } from './stalling-proxy.ts';
import { ISPB } from '../../support/key-base.ts';

const database = useTestDatabase();

beforeAll(async () => {
  await storeMachines(database.pool, machines);
  await database.pool.query('insert into dict.participants (participant) values ($1)', [ISPB]);
});

/** A sent VSync, asked N hours ago; without a result it is not answered yet. */
async function sent(keyType: string, result: string | null, hoursAgo = 0): Promise<string> {
  const at = Date.now() - hoursAgo * 3_600_000;
  const hex = at.toString(16).padStart(12, '0');
  const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7${randomUUID().slice(15)}`;
  await database.pool.query(
    `insert into dict.sync_verifications (id, run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     values ($1, $2, 'VERIFICATION', $3, $4, repeat('0', 64), 0, $5, $6, $7)`,
    [id, randomUUID(), ISPB, keyType, new Date(at), result === null ? null : new Date(at), result],
  );
  return id;
}

/** The samples of a scrape by their full name, `name{labels}`. */
async function scrape({ registry }: Metrics): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => /^[a-z]/.test(line));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

const verifications = (keyType: string, result: string) =>
  `dict_vsync_verifications_total{participant="${ISPB}",key_type="${keyType}",result="${result}"}`;

test('attempts and their durations are counted by machine, activity and outcome', async () => {
  const metrics = createMetrics(database.pool);
  const attempt = { machine: 'verification', activity: 'read_all_vsyncs' } as const;
  metrics.onAttempt({ ...attempt, outcome: 'completed', seconds: 0.2 });
  metrics.onAttempt({ ...attempt, outcome: 'completed', seconds: 2 });
  metrics.onAttempt({ ...attempt, outcome: 'failed', seconds: 1 });
  const samples = await scrape(metrics);
  const labels = 'machine="verification",activity="read_all_vsyncs"';
  expect(samples.get(`dict_vsync_activity_attempts_total{${labels},outcome="completed"}`)).toBe(2);
  expect(samples.get(`dict_vsync_activity_attempts_total{${labels},outcome="failed"}`)).toBe(1);
  expect(samples.get(`dict_vsync_activity_duration_seconds_sum{${labels},outcome="completed"}`)).toBe(2.2);
  const bucket = (le: string) =>
    `dict_vsync_activity_duration_seconds_bucket{le="${le}",${labels},outcome="completed"}`;
  expect([samples.get(bucket('0.25')), samples.get(bucket('2.5'))]).toEqual([1, 2]);
});

test('each verification is counted once, from zero, whenever it was asked and answered', async () => {
  const metrics = createMetrics(database.pool);
  expect((await scrape(metrics)).get(verifications('CPF', 'OK'))).toBe(0);
  await sent('CPF', 'OK', 100);
  await sent('CPF', 'OK', 1);
  const late = await sent('CPF', null);
  const fresh = createMetrics(database.pool);
  for (let again = 0; again < 3; again++) {
    expect((await scrape(fresh)).get(verifications('CPF', 'OK'))).toBe(2);
  }
  await database.pool.query(
    `update dict.sync_verifications set result = 'NOK', answered_at = now() where id = $1`,
    [late],
  );
  await sent('CPF', 'OK');
  const samples = await scrape(fresh);
  expect(samples.get(verifications('CPF', 'OK'))).toBe(3);
  expect(samples.get(verifications('CPF', 'NOK'))).toBe(1);
  expect(samples.get(verifications('CPF', 'ERROR'))).toBe(0);
});

test('verifications answered long ago are not read again', async () => {
  const metrics = createMetrics(database.pool);
  const id = await sent('EVP', 'OK', 48);
  expect((await scrape(metrics)).get(verifications('EVP', 'OK'))).toBe(1);
  await database.pool.query('delete from dict.sync_verifications where id = $1', [id]);
  expect((await scrape(metrics)).get(verifications('EVP', 'OK'))).toBe(1);
});

test('the age of the last OK is absent where there never was one', async () => {
  await sent('EMAIL', 'OK', 40);
  await sent('EMAIL', 'NOK', 1);
  await sent('PHONE', 'NOK', 1);
  const samples = await scrape(createMetrics(database.pool));
  const age = (keyType: string) =>
    `dict_vsync_vsync_age_of_last_ok_seconds{participant="${ISPB}",key_type="${keyType}"}`;
  expect(samples.get(age('EMAIL'))).toBeGreaterThan(40 * 3600 - 1);
  expect(samples.get(age('EMAIL'))).toBeLessThan(40 * 3600 + 60);
  expect(samples.has(age('PHONE'))).toBe(false);
});

test('runs are counted by machine and status, and pending messages of the outbox', async () => {
  const metrics = createMetrics(database.pool);
  await database.pool.query('select dict.start_verification($1)', [ISPB]);
  const publish = "select dict.publish($1, $2, 'test', '{}', null)";
  for (const keyType of ['CPF', 'EVP']) await database.pool.query(publish, [ISPB, keyType]);
  await database.pool.query(`update dict.outbox set created_at = workflow.now() - interval '1 hour';
    update dict.outbox set dead_at = workflow.now(), created_at = workflow.now() - interval '2 hours' where key_type = 'EVP'`);
  const pending = 'dict_vsync_runs{machine="verification",status="PENDING"}';
  const cancelled = 'dict_vsync_runs{machine="verification",status="CANCELLED"}';
  const before = await scrape(metrics);
  expect([before.get(pending), before.get(cancelled)]).toEqual([1, undefined]);
  expect(before.get('dict_vsync_outbox_pending')).toBe(1);
  expect(before.get('dict_vsync_outbox_dead')).toBe(1);
  expect(before.get('dict_vsync_outbox_oldest_age_seconds')).toBeGreaterThan(3600 - 1);
  expect(before.get('dict_vsync_outbox_oldest_age_seconds')).toBeLessThan(3660);
  await database.pool.query('select workflow.cancel(id) from workflow.runs');
  await database.pool.query('update dict.outbox set delivered_at = now()');
  const after = await scrape(metrics);
  expect([after.get(pending), after.get(cancelled)]).toEqual([undefined, 1]);
  expect(after.get('dict_vsync_outbox_pending')).toBe(0);
  expect(after.get('dict_vsync_outbox_oldest_age_seconds')).toBe(0);
});

test('two registries in one process do not mix', async () => {
  const [one, other] = [createMetrics(database.pool), createMetrics(database.pool)];
  one.onAttempt({ machine: 'm', activity: 'a', outcome: 'completed', seconds: 1 });
  const name = 'dict_vsync_activity_attempts_total{machine="m",activity="a",outcome="completed"}';
  expect([(await scrape(one)).get(name), (await scrape(other)).get(name)]).toEqual([1, undefined]);
});

test('labels are names of machines, activities, participants and key types, and codes only', async () => {
  const metrics = createMetrics(database.pool);
  const all = await metrics.registry.getMetricsAsJSON();
  const labels = all
    .filter(({ name }) => name.startsWith('dict_vsync_'))
    .flatMap(({ values }) => values.flatMap((value) => Object.keys(value.labels)));
  expect([...new Set(labels)].sort()).toEqual([
    'code',
    'key_type',
    'machine',
    'participant',
    'result',
    'status',
  ]);
});

test('with the database unreachable, a scrape takes less than a second and serves what was read last', async () => {
  const proxy = await startStallingProxy(database.url);
  const pool = createPool(proxy.url);
  const metrics = createMetrics(pool);
  await sent('CNPJ', 'ERROR');
  expect((await scrape(metrics)).get('dict_vsync_database_up')).toBe(1);
  const timed = async () => {
    const began = performance.now();
    const samples = await scrape(metrics);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(samples.get('dict_vsync_database_up')).toBe(0);
    expect(samples.get(verifications('CNPJ', 'ERROR'))).toBe(1);
    expect(samples.has('process_resident_memory_bytes')).toBe(true);
  };
  proxy.stall();
  await timed();
  await timed();
  expect(pool.totalCount + pool.waitingCount).toBe(1);
  await proxy.close();
  await expect.poll(() => pool.totalCount).toBe(0);
  await timed();
  await pool.end();
});
