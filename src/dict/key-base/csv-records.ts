import { pipeline, type Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { DvError } from '../../errors/dv-error.ts';

/** Longer records are refused, because a quote that never closes would read the rest of the file into memory. */
const MAX_RECORD_BYTES = 65_536;

/** One line below the header: its values by column. `value` returns "" for a column that the file does not have. */
export interface CsvRecord<Column extends string> {
  /** Number of the line in the file (of the last one, if a quoted value spans several); the header is line 1. */
  line: number;
  value: (column: Column) => string;
}

/** DV_CSV_LINE_INVALID: the line and what is wrong with it, never its content. */
export function lineInvalid(line: number, reasons: readonly string[]): DvError {
  return new DvError(
    'DV_CSV_LINE_INVALID',
    `Line ${line} of the CSV is not valid: ${reasons.join('; ')}. Correct it and give the whole file again.`,
  );
}

/**
 * Reads a CSV (UTF-8 with or without BOM, comma, double quotes, LF or CRLF, empty lines skipped) in constant memory.
 * The first line names the columns in any order: all of `columns` except those in `optional`, and no other.
 * Values are byte-exact. Errors: DV_CSV_COLUMNS, DV_CSV_ENCODING, DV_CSV_LINE_INVALID, and the stream's own.
 */
export async function* readCsvRecords<Column extends string>(
  stream: Readable,
  columns: readonly Column[],
  optional: readonly Column[] = [],
): AsyncGenerator<CsvRecord<Column>, void, undefined> {
  const parser = parse({
    bom: true,
    info: true,
    record_delimiter: ['\r\n', '\n'],
    skip_empty_lines: true,
    max_record_size: MAX_RECORD_BYTES,
  });
  // An error in the pipeline destroys the parser too, and so ends the loop below; leaving the loop ends the stream.
  pipeline(stream, decodeUtf8, parser, () => undefined);
  let positions: Map<string, number> | undefined;
  try {
    for await (const item of parser) {
      const { record, info } = item as { record: string[]; info: { lines: number } };
      if (positions === undefined) {
        positions = readHeader(record, columns, optional);
        continue;
      }
      const at = positions;
      yield { line: info.lines, value: (column) => record[at.get(column) ?? -1] ?? '' };
    }
  } catch (error) {
    throw error instanceof CsvError ? syntaxError(error) : error;
  }
  if (positions === undefined) readHeader([], columns, optional);
}

/** Strict: a Latin-1 file that is read as UTF-8 would give wrong names, and so wrong CIDs. */
async function* decodeUtf8(source: AsyncIterable<Buffer | string>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    for await (const chunk of source) {
      yield typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA') throw error;
    throw new DvError('DV_CSV_ENCODING', 'The CSV is not valid UTF-8. Save it as UTF-8 and give it again.');
  }
}

function readHeader<Column extends string>(
  header: readonly string[],
  columns: readonly Column[],
  optional: readonly Column[],
): Map<string, number> {
  const known = (name: string) => (columns as readonly string[]).includes(name);
  const missing = columns.filter((name) => !header.includes(name) && !optional.includes(name));
  const unknown = header.filter((name) => !known(name));
  const repeated = header.filter((name, index) => header.indexOf(name) !== index);
  if (missing.length + unknown.length + repeated.length === 0) {
    return new Map(header.map((name, index) => [name, index]));
  }
  // A damaged or missing first line may contain personal data, so only what looks like a column's name is quoted.
  const quoted = (names: readonly string[]) =>
    names
      .map((name) => (/^[a-z_]{1,40}$/.test(name) ? name : `column ${header.indexOf(name) + 1}`))
      .join(', ');
  const problems = header.some(known)
    ? [
        ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
        ...(unknown.length > 0 ? [`unknown: ${quoted(unknown)}`] : []),
        ...(repeated.length > 0 ? [`repeated: ${quoted(repeated)}`] : []),
      ]
    : ['the first line does not name the columns'];
  throw new DvError(
    'DV_CSV_COLUMNS',
    `The CSV has other columns than expected (${problems.join('; ')}). Its first line must name, in any order: ${columns.join(', ')}.`,
  );
}

/** csv-parse puts the record's content in its messages, so they are not passed on, nor kept as the cause. */
function syntaxError(error: CsvError): DvError {
  const line = typeof error['lines'] === 'number' ? error['lines'] : 0;
  if (error.code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') {
    return lineInvalid(line, ['it does not have exactly one value for each column']);
  }
  if (error.code === 'CSV_MAX_RECORD_SIZE') {
    return lineInvalid(line, [`longer than ${MAX_RECORD_BYTES} bytes (is a quote not closed?)`]);
  }
  return lineInvalid(line, ['its quotes are misplaced']);
}
