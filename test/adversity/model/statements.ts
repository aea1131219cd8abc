import type { Entry } from '../../../src/dict/entry/entry.ts';
import type { Random } from '../../../src/simulator/random.ts';

/** How the bank writes an entry, or removes its key, by one of the two methods that exist. */
export function statementOf(random: Random, entry: Entry | undefined, key: string): [string, unknown[]] {
  if (entry === undefined) {
    return random.chance(0.5)
      ? ['delete from dict.entries where key = $1', [key]]
      : ['update dict.entries set removed_at = workflow.now() where key = $1 and removed_at is null', [key]];
  }
  return [
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name,
       branch, account_number, account_type, opening_date)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     on conflict (participant, key_type, key) do update set request_id = excluded.request_id, name = excluded.name,
       account_number = excluded.account_number, owner_type = excluded.owner_type,
       tax_id_number = excluded.tax_id_number, trade_name = excluded.trade_name, branch = excluded.branch,
       account_type = excluded.account_type, removed_at = null`,
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
      entry.openingDate,
    ],
  ];
}
