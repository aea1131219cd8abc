import { describe, expect, onTestFinished, test } from 'vitest';
import type { Pool } from 'pg';
import { createTestDatabase } from '../support/database.ts';
import {
  baseRows,
  connect,
  counts,
  expectFed,
  ISPB,
  keys,
  type Mapping,
  oneTable,
  rejects,
  threeTables,
} from './support.ts';

async function bank(mapping: Mapping, count = 20): Promise<Pool> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await connect(database.pool, mapping, keys('EMAIL', count));
  return database.pool;
}

describe.each([
  ['one table', oneTable],
  ['three tables', threeTables],
])('%s', (_, mapping) => {
  test('what it held before is loaded, what is written later follows', async () => {
    const pool = await bank(mapping);
    await expectFed(pool, mapping, 20);
    await mapping.write(pool, keys('CPF', 7));
    await expectFed(pool, mapping, 27);
    expect(await rejects(pool)).toEqual([]);
    const { rows } = await pool.query(`select dict.load_source('core')::integer as differed`);
    expect(rows).toEqual([{ differed: 0 }]);
  });
});

test('a rolled back transaction leaves nothing', async () => {
  const pool = await bank(oneTable);
  const before = await baseRows(pool);
  const client = await pool.connect();
  await client.query('begin');
  await client.query(`update bank.pix_keys set full_name = 'Outro Nome'`);
  await client.query('rollback');
  client.release();
  expect(await baseRows(pool)).toEqual(before);
  expect(await counts(pool)).toEqual({ EMAIL: 20 });
  expect(ISPB).toBe('12345678');
});
