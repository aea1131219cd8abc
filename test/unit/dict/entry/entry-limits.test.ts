import { expect, test } from 'vitest';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { ENTRY_LIMITS } from '../../../../src/dict/entry/entry-limits.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { bacenEntry } from './bacen-entry.ts';

const database = useTestDatabase();

async function feedReason(entry: Entry): Promise<string | null> {
  const { rows } = await database.pool.query<{ reason: string | null }>(
    `select dict.feed_reason(null, $1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, false) as reason`,
    [
      entry.participant,
      entry.keyType,
      entry.key,
      entry.requestId,
      entry.ownerType,
      entry.taxIdNumber,
      entry.name,
      entry.tradeName,
      entry.branch,
      entry.accountNumber,
      entry.accountType,
    ],
  );
  return rows[0]!.reason;
}

const TEXTS = [
  ['key', 'KEY_INVALID'],
  ['ownerType', 'OWNER_TYPE_INVALID'],
  ['taxIdNumber', 'TAX_ID_NUMBER_INVALID'],
  ['name', 'NAME_INVALID'],
  ['tradeName', 'TRADE_NAME_INVALID'],
  ['branch', 'BRANCH_INVALID'],
  ['accountNumber', 'ACCOUNT_NUMBER_INVALID'],
  ['accountType', 'ACCOUNT_TYPE_INVALID'],
] as const;

test.each(TEXTS)(
  'connected tables have the limit of %s that all other sources have',
  async (field, reason) => {
    const most = ENTRY_LIMITS[field];
    expect(await feedReason({ ...bacenEntry, [field]: '😀'.repeat(most) })).toBeNull();
    expect(await feedReason({ ...bacenEntry, [field]: '😀'.repeat(most + 1) })).toBe(reason);
  },
);

test('an entry whose texts are all as long as they may be can be stored', async () => {
  const longest = Object.fromEntries(TEXTS.map(([field]) => [field, '😀'.repeat(ENTRY_LIMITS[field])]));
  const e: Entry = { ...bacenEntry, ...longest };
  await database.pool.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
       account_number, account_type) values ($1, 'PHONE', $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      e.participant,
      e.key,
      e.requestId,
      e.ownerType,
      e.taxIdNumber,
      e.name,
      e.tradeName,
      e.branch,
      e.accountNumber,
      e.accountType,
    ],
  );
  const { rowCount } = await database.pool.query('select from dict.entries where key = $1', [e.key]);
  expect(rowCount).toBe(1);
});
