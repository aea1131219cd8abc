import { isErrorCode } from '../errors/catalogue.ts';
import { firstError, isAway } from '../errors/database-away.ts';
import { DvError } from '../errors/dv-error.ts';

interface PostgresError extends Error {
  code: string;
  detail?: string;
  constraint?: string;
}

function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof Error && typeof (error as Partial<PostgresError>).code === 'string';
}

/** SQLSTATE of the errors that the SQL functions raise on purpose. DETAIL is the code. */
const RAISED_ON_PURPOSE = 'DV000';
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** Some error codes of the operating system have five letters too: EPIPE. */
const OF_THE_SYSTEM = /^E[A-Z_]+$/;

/**
 * Turns an error from Postgres into a DvError: errors of our SQL functions keep their code, lost connections become
 * DV_DATABASE_UNREACHABLE, and other errors of the server DV_DATABASE; both are retryable. The server's DETAIL is never
 * included, because it quotes values. All other errors are returned unchanged.
 */
export function fromDatabase(error: unknown): unknown {
  if (error instanceof DvError) return error;
  if (isAway(error)) {
    const { code } = firstError(error);
    return new DvError('DV_DATABASE_UNREACHABLE', howAway(code), { cause: error });
  }
  if (!isPostgresError(error)) return error;
  if (error.code === RAISED_ON_PURPOSE && error.detail !== undefined) {
    return raisedOnPurpose(error.detail, error);
  }
  const options = { cause: error };
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

/** The error that a SQL function raised. A newer database may have codes that this program does not know. */
function raisedOnPurpose(code: string, cause: PostgresError): DvError {
  if (isErrorCode(code)) return new DvError(code, cause.message, { cause });
  const named = /^DV_[A-Z_0-9]+$/.test(code) ? code : 'an error without a code';
  return new DvError(
    'DV_DATABASE_NEWER',
    `${cause.message} (${named}, which this dict-vsync does not know: a newer one has migrated the database.)`,
    { cause },
  );
}

function howAway(code: string | undefined): string {
  if (code === undefined) return 'The connection to the database was lost.';
  return OF_THE_SYSTEM.test(code)
    ? `The database cannot be reached (${code}).`
    : `The database cannot be used now (SQLSTATE ${code}).`;
}

/** Runs a function that queries Postgres, and turns its errors into DvErrors. */
export async function translateDatabaseErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromDatabase(error);
  }
}
