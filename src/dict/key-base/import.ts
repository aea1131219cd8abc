import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { inTransaction, type Transaction } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { maybeOne } from '../../errors/rows.ts';
import type { Entry } from '../entry/entry.ts';

/** An entry to import; `line` is its line in the file, or else its position among the entries. */
export type ImportedEntry = Entry & { line?: number };

export interface ImportResult {
  /** Entries read. */
  read: number;
  /** Rows inserted or changed; the others were already there with the same content. */
  changed: number;
}

// A temporary table of this transaction, which drops it at its end.
const STAGE = `
  create temporary table imported (line bigint, participant text, key_type text, key text, request_id uuid, owner_type text,
    tax_id_number text, name text, trade_name text, branch text, account_number text, account_type text,
    opening_date timestamptz) on commit drop`;

const COPY = 'copy imported from stdin (format text)';

const COLUMNS = `participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
  account_number, account_type, opening_date`;

// In key order, so that two imports, or an import and a repair, cannot deadlock.
const UPSERT = `
  insert into dict.entries as e (${COLUMNS}, changed_why)
  select ${COLUMNS}, 'imported' from imported order by participant, key_type, key
  on conflict (participant, key_type, key) do update set
    request_id = excluded.request_id, owner_type = excluded.owner_type, tax_id_number = excluded.tax_id_number,
    name = excluded.name, trade_name = excluded.trade_name, branch = excluded.branch,
    account_number = excluded.account_number, account_type = excluded.account_type,
    opening_date = excluded.opening_date, removed_at = null, changed_why = 'imported'
  where (e.request_id, e.owner_type, e.tax_id_number, e.name, e.trade_name, e.branch, e.account_number, e.account_type,
         e.opening_date, e.removed_at is null)
    is distinct from
        (excluded.request_id, excluded.owner_type, excluded.tax_id_number, excluded.name, excluded.trade_name,
         excluded.branch, excluded.account_number, excluded.account_type, excluded.opening_date, true)`;

// The upsert would not detect all of them: it skips rows that change nothing.
const TWICE = `
  select min(line) as first, max(line) as again
  from imported group by participant, key_type, key having count(*) > 1 order by again limit 1`;

/**
 * Loads entries into the key base by COPY, as an upsert: keys that are not among them stay. All or nothing: an error
 * thrown by `entries` leaves the base as it was, and so does a key given twice (DV_KEY_TWICE, which names both lines).
 * `onProgress` receives the number of entries read, once for every 10,000.
 */
export async function importEntries(
  pool: Pool,
  entries: AsyncIterable<ImportedEntry> | Iterable<ImportedEntry>,
  onProgress?: (read: number) => void,
): Promise<ImportResult> {
  return inTransaction(pool, async (tx) => {
    await tx.query(STAGE);
    let read = 0;
    async function* lines() {
      let batch = '';
      for await (const entry of entries) {
        batch += copyLine(entry, ++read);
        if (read % 500 === 0) {
          yield batch;
          batch = '';
        }
        if (read % 10_000 === 0) onProgress?.(read);
      }
      yield batch;
    }
    await pipeline(Readable.from(lines()), tx.query(copyFrom(COPY)));
    await tx.query('analyze imported');
    await refuseKeysGivenTwice(tx);
    const { rowCount } = await tx.query(UPSERT);
    return { read, changed: rowCount ?? 0 };
  });
}

async function refuseKeysGivenTwice(tx: Transaction): Promise<void> {
  const { rows } = await tx.query<{ first: string; again: string }>(TWICE);
  const twice = maybeOne(rows);
  if (twice === undefined) return;
  throw new DvError(
    'DV_KEY_TWICE',
    `Line ${twice.again} has the same key as line ${twice.first}. Keep one of them and import the whole file again.`,
  );
}

function copyLine(e: ImportedEntry, place: number): string {
  return `${[
    String(e.line ?? place),
    e.participant,
    e.keyType,
    e.key,
    e.requestId,
    e.ownerType,
    e.taxIdNumber,
    e.name,
    e.tradeName,
    e.branch,
    e.accountNumber,
    e.accountType,
    e.openingDate,
  ]
    .map(copyField)
    .join('\t')}\n`;
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function copyField(value: string | null): string {
  return value === null ? '\\N' : value.replace(/[\\\t\n\r]/g, (char) => ESCAPES[char] ?? char);
}
