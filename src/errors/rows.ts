import { DvError } from './dv-error.ts';

/**
 * The only row of a result. Throws DV_UNEXPECTED if there is no row or more than one: the query must return exactly one
 * row, and a default would hide that it did not.
 */
export function one<T>(rows: readonly T[]): T {
  const row = maybeOne(rows);
  if (row === undefined) throw impossible('The database returned no row where it must return one.');
  return row;
}

/** The only row of a result, or undefined if there is no row. Throws DV_UNEXPECTED if there is more than one. */
export function maybeOne<T>(rows: readonly T[]): T | undefined {
  if (rows.length > 1) {
    throw impossible(`The database returned ${rows.length} rows where it must return at most one.`);
  }
  return rows[0];
}

/** DV_UNEXPECTED for a state that must never occur. Not retryable: another attempt would find the same state. */
export function impossible(what: string): DvError {
  return new DvError('DV_UNEXPECTED', `${what} Please report it.`, {
    class: 'not_retryable',
  });
}
