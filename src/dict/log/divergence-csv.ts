import { stringify } from 'csv-stringify/sync';
import { DETAIL_COLUMNS, detailsOf, type DivergenceDetail } from './divergence-details.ts';
import type { Entry } from '../entry/entry.ts';
import type { Db } from '../vsync/vsync-store.ts';

const ENTRY_FIELDS = {
  request_id: 'requestId',
  owner_type: 'ownerType',
  tax_id_number: 'taxIdNumber',
  name: 'name',
  trade_name: 'tradeName',
  branch: 'branch',
  account_number: 'accountNumber',
  account_type: 'accountType',
  opening_date: 'openingDate',
} as const satisfies Record<string, keyof Entry>;

/** The columns of the divergences' CSV. */
export const DIVERGENCE_CSV_COLUMNS = [
  'round',
  'side',
  'decision',
  'planned',
  'why',
  'cid',
  'key',
  'key_type',
  'branch',
  'origin_time',
  'differs',
  ...['before', 'after'].flatMap((when) => Object.keys(ENTRY_FIELDS).map((column) => `${when}_${column}`)),
];

/** Rows read at a time: about a megabyte. */
const PAGE = 1000;

const PAGE_SQL = `
  select ${DETAIL_COLUMNS} from (${detailsOf(`(
    select * from dict.divergences where run_id = $1 and (round, cid) > ($2, $3) and round <= $4
    order by round, cid limit ${PAGE})`)}) x
  order by round, cid`;

/**
 * The divergences of a reconciliation (of one round, or of all) as CSV, in pages and in constant memory: UTF-8 with a
 * BOM (Excel assumes another encoding without it), commas, double quotes, LF. A value that a spreadsheet would read as
 * a formula, and one that begins with an apostrophe, gets an apostrophe in front.
 */
export async function* divergencesCsv(
  db: Db,
  runId: string,
  round?: number,
): AsyncGenerator<string, void, undefined> {
  yield stringify([DIVERGENCE_CSV_COLUMNS], { bom: true });
  let after: [number, Buffer] = [round ?? 0, Buffer.alloc(0)];
  for (;;) {
    const { rows } = await db.query<DivergenceDetail>(PAGE_SQL, [runId, ...after, round ?? 2 ** 31 - 1]);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield stringify(rows.map(cells));
    after = [last.round, last.cid];
  }
}

function cells(row: DivergenceDetail): string[] {
  return [
    String(row.round),
    row.side,
    row.decision,
    row.planned,
    row.why,
    row.cid.toString('hex'),
    row.key,
    row.keyType,
    row.branch,
    row.cameAt?.toISOString() ?? null,
    row.differs.join(' '),
    ...[row.before, row.after].flatMap((entry) =>
      Object.values(ENTRY_FIELDS).map((field) => entry?.[field] ?? null),
    ),
  ].map((value) => harmless(value ?? ''));
}

/**
 * OWASP "CSV Injection": some spreadsheets read a value that begins like this as a formula; the wide forms are
 * included. csv-stringify's own `escape_formulas` does not change values that begin with an apostrophe or LF, so a
 * reader could not remove the apostrophe reliably.
 */
function harmless(value: string): string {
  return /^['=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value;
}
