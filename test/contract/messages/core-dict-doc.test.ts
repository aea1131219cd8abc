import { beforeAll, expect, test } from 'vitest';
import { readAsset } from '../../../src/assets.ts';
import { postgresTransport, relayOutbox } from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { publishOne } from '../../unit/notify/support.ts';

const database = useTestDatabase();
const examples = [...readAsset('docs/guides/core-dict.md').matchAll(/```sql\n(.*?)```/gs)].map(
  ([, sql = '']) => sql,
);
const [worked = '', arrived = '', ...asking] = examples;

async function publishMessages(from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) await publishOne(database.pool, { keyType: 'CPF' as 'EMAIL', n });
  await relayOutbox(database.pool, postgresTransport());
}

const newKeys = async () =>
  (await database.pool.query<{ key: string }>('select key from core.key_changes')).rows.map(({ key }) => key);

beforeAll(() => publishMessages(0, 3));

test('the worked example processes each message once, in order', async () => {
  await database.pool.query(worked);
  expect(await newKeys()).toEqual(['key 0', 'key 1', 'key 2']);
  const reading = worked.slice(worked.indexOf('begin;'));
  await database.pool.query(reading);
  await publishMessages(3, 2);
  await Promise.all([database.pool.query(reading), database.pool.query(reading)]);
  expect(await newKeys()).toEqual(['key 0', 'key 1', 'key 2', 'key 3', 'key 4']);
});

test('the worked example finds a run whose pages have not all arrived', async () => {
  await database.pool.query(
    `insert into dict.notifications (id, participant, key_type, sequence, type, payload, created_at)
     values (workflow.uuidv7(), '12345678', 'EVP', 1, 'reconciliation.complete',
       '{"data": {"runId": "x", "pageCount": 1}}', now())`,
  );
  const { rows } = await database.pool.query(arrived);
  expect(rows).toEqual([{ run: 'x', published: 1, arrived: '0' }]);
});

test.each(asking.map((sql) => [sql]))('the documented query runs: %s', async (sql) => {
  expect((await database.pool.query(sql)).rows).toEqual([]);
});
