import type { Readable } from 'node:stream';
import type { Options } from 'csv-stringify';
import type { CidInput } from '../entry/cid.ts';
import { lineInvalid, readCsvRecords, type CsvRecord } from './csv-records.ts';
import type { Entry } from '../entry/entry.ts';
import { entryProblems } from '../entry/entry-validation.ts';
import type { KeyType } from '../entry/key-type.ts';
import { isUuid } from '../entry/uuid.ts';

/** The columns of the key base's CSV; docs/guides/csv-import.md describes their contents. */
export const ENTRY_CSV_COLUMNS = [
  'participant',
  'key_type',
  'key',
  'request_id',
  'owner_type',
  'tax_id_number',
  'name',
  'trade_name',
  'branch',
  'account_number',
  'account_type',
  'opening_date',
] as const;

/** The columns of the CSV that the command `cid` reads; they have the names of its flags. */
export const CID_CSV_COLUMNS = [
  'request_id',
  'key_type',
  'key',
  'tax_id',
  'name',
  'trade_name',
  'participant',
  'branch',
  'account',
  'account_type',
] as const;

export interface EntriesCsvOptions {
  /** ISPB for lines without one; the participant column may then be missing. */
  defaultParticipant?: string;
}

type EntryRecord = CsvRecord<(typeof ENTRY_CSV_COLUMNS)[number]>;

const DATE_ONLY = /^\d{4}-\d{2}-\d{2}$/;

/**
 * The entries of a key base's CSV, in constant memory, each validated. Line numbers count the header as 1.
 * Errors: DV_CSV_COLUMNS, DV_CSV_ENCODING, DV_CSV_LINE_INVALID (the line and its reasons, never its values).
 */
export async function* readEntriesCsv(
  stream: Readable,
  options: EntriesCsvOptions = {},
): AsyncGenerator<{ line: number; entry: Entry }, void, undefined> {
  const { defaultParticipant } = options;
  const optional = defaultParticipant === undefined ? [] : (['participant'] as const);
  for await (const record of readCsvRecords(stream, ENTRY_CSV_COLUMNS, optional)) {
    const entry = toEntry(record, defaultParticipant ?? '');
    const problems = entryProblems(entry);
    if (problems.length > 0) throw lineInvalid(record.line, problems.map(byColumn));
    yield { line: record.line, entry };
  }
}

/** "taxIdNumber: …" as "tax_id_number: …". */
function byColumn(problem: string): string {
  return problem.replace(/^\w+/, (field) =>
    field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
}

function toEntry({ value }: EntryRecord, defaultParticipant: string): Entry {
  const taxIdNumber = value('tax_id_number');
  const openingDate = value('opening_date');
  return {
    participant: value('participant') || defaultParticipant,
    keyType: value('key_type') as KeyType,
    key: value('key'),
    requestId: value('request_id'),
    ownerType: value('owner_type') || ownerTypeOf(taxIdNumber),
    taxIdNumber,
    name: value('name'),
    tradeName: value('trade_name') || null,
    branch: value('branch') || null,
    accountNumber: value('account_number'),
    accountType: value('account_type'),
    // BACEN (schema BrazilianAccount): if the hour is unknown, the day begins in Brasília's time.
    openingDate: DATE_ONLY.test(openingDate) ? `${openingDate}T00:00:00-03:00` : openingDate || null,
  };
}

function ownerTypeOf(taxIdNumber: string): string {
  return taxIdNumber.length === 14 ? 'LEGAL_PERSON' : 'NATURAL_PERSON';
}

/**
 * The inputs of CIDs to be computed, from a CSV with CID_CSV_COLUMNS. Checks only what the computation needs: that the
 * request id is a UUID and that there is a key type. Errors as in readEntriesCsv.
 */
export async function* readCidInputCsv(
  stream: Readable,
): AsyncGenerator<{ line: number; entry: CidInput }, void, undefined> {
  for await (const { line, value } of readCsvRecords(stream, CID_CSV_COLUMNS)) {
    const problems: string[] = [];
    if (!isUuid(value('request_id'))) problems.push('request_id: not a UUID');
    if (value('key_type') === '') problems.push('key_type: empty');
    if (problems.length > 0) throw lineInvalid(line, problems);
    const entry: CidInput = {
      participant: value('participant'),
      keyType: value('key_type'),
      key: value('key'),
      requestId: value('request_id'),
      taxIdNumber: value('tax_id'),
      name: value('name'),
      tradeName: value('trade_name') || null,
      branch: value('branch') || null,
      accountNumber: value('account'),
      accountType: value('account_type'),
    };
    yield { line, entry };
  }
}

const FIELDS: Record<(typeof ENTRY_CSV_COLUMNS)[number], keyof Entry> = {
  participant: 'participant',
  key_type: 'keyType',
  key: 'key',
  request_id: 'requestId',
  owner_type: 'ownerType',
  tax_id_number: 'taxIdNumber',
  name: 'name',
  trade_name: 'tradeName',
  branch: 'branch',
  account_number: 'accountNumber',
  account_type: 'accountType',
  opening_date: 'openingDate',
};

/** How csv-stringify writes entries as the key base's CSV; readEntriesCsv reads the same entries from it. */
export const ENTRY_CSV_FORMAT: Options = {
  header: true,
  columns: ENTRY_CSV_COLUMNS.map((header) => ({ key: FIELDS[header], header })),
};
