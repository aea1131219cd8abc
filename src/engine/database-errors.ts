import { firstError, isAway } from '../errors/database-away.ts';
import { DvError, type DvErrorOptions } from '../errors/dv-error.ts';

interface PostgresError extends Error {
  code: string;
  detail?: string;
  constraint?: string;
}

function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof Error && typeof (error as Partial<PostgresError>).code === 'string';
}

/** SQLSTATE of the errors that the SQL functions raise on purpose; DETAIL holds the code. */
const RAISED_ON_PURPOSE = 'DV000';
/** Those of them that another try may not meet. */
const RETRYABLE = new Set(['DV_QUEUE_BUSY']);
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** Some of these have five letters too: EPIPE. */
const OF_THE_SYSTEM = /^E[A-Z_]+$/;

/**
 * An error from Postgres as a DvError: the SQL functions' own with their code, lost connections as retryable
 * DV_DATABASE_UNREACHABLE, lost races as retryable DV_DATABASE. Never with the server's DETAIL, which quotes values. Others come back unchanged.
 */
export function fromDatabase(error: unknown): unknown {
  if (error instanceof DvError) return error;
  if (isAway(error)) {
    const { code } = firstError(error);
    return new DvError('DV_DATABASE_UNREACHABLE', howAway(code), { class: 'retryable', cause: error });
  }
  if (!isPostgresError(error)) return error;
  if (error.code === RAISED_ON_PURPOSE && error.detail !== undefined) {
    return new DvError(error.detail, error.message, {
      class: RETRYABLE.has(error.detail) ? 'retryable' : 'not_retryable',
      cause: error,
    });
  }
  const options: DvErrorOptions = { class: 'retryable', cause: error };
  if (SQLSTATE.test(error.code) && !OF_THE_SYSTEM.test(error.code)) {
    const where = error.constraint === undefined ? '' : ` (constraint ${error.constraint})`;
    return new DvError(
      'DV_DATABASE',
      `Postgres refused a statement with SQLSTATE ${error.code}${where}.`,
      options,
    );
  }
  return error;
}

function howAway(code: string | undefined): string {
  if (code === undefined) return 'The connection to the database was lost.';
  return OF_THE_SYSTEM.test(code)
    ? `The database cannot be reached (${code}).`
    : `The database cannot be used now (SQLSTATE ${code}).`;
}

/** Runs a query function and turns what Postgres throws into DvErrors. */
export async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromDatabase(error);
  }
}
