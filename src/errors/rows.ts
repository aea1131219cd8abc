import { DvError } from './dv-error.ts';

/**
 * The only row of an answer. Throws DV_UNEXPECTED on none and on several: a query that must answer one row and does not
 * is a state that cannot be, and no default may stand for what was not answered.
 */
export function one<T>(rows: readonly T[]): T {
  const row = maybeOne(rows);
  if (row === undefined) throw impossible('The database answered no row where it must answer one.');
  return row;
}

/** The only row of an answer, or undefined when there is none. Throws DV_UNEXPECTED on several. */
export function maybeOne<T>(rows: readonly T[]): T | undefined {
  if (rows.length > 1) {
    throw impossible(`The database answered ${rows.length} rows where it must answer at most one.`);
  }
  return rows[0];
}

/** DV_UNEXPECTED of a state that cannot be. Not retryable: another try would meet the same state. */
export function impossible(what: string): DvError {
  return new DvError('DV_UNEXPECTED', `${what} Please report it.`, {
    class: 'not_retryable',
  });
}
