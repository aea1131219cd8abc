import { isErrorCode } from '../errors/catalogue.ts';
import { DvError } from '../errors/dv-error.ts';

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
/** SQLSTATEs of a server that is no server now: connections lost or used up, shutting down, starting, demoted. */
const AWAY = /^(08...|53300|57P0[1235]|25006)$/;
/** What node-postgres throws, without any code, when a connection is lost or none can be had. */
const LOST =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;

/**
 * An error from Postgres as a DvError: the SQL functions' own with their code, lost connections as retryable
 * DV_DATABASE_UNREACHABLE, lost races as retryable DV_DATABASE. Never with the server's DETAIL, which quotes values. Others come back unchanged.
 */
export function fromDatabase(error: unknown): unknown {
  if (error instanceof DvError) return error;
  if (error instanceof Error && LOST.test(error.message)) {
    return new DvError('DV_DATABASE_UNREACHABLE', 'The connection to the database was lost.', {
      cause: error,
    });
  }
  if (!isPostgresError(error)) return error;
  if (error.code === RAISED_ON_PURPOSE && error.detail !== undefined) {
    return raisedOnPurpose(error.detail, error);
  }
  const options = { cause: error };
  if (AWAY.test(error.code)) {
    return new DvError(
      'DV_DATABASE_UNREACHABLE',
      `The database cannot be used now (SQLSTATE ${error.code}).`,
      options,
    );
  }
  // Of the system, before the five letters of a SQLSTATE: EPIPE has five too.
  if (/^E[A-Z]+$/.test(error.code)) {
    return new DvError('DV_DATABASE_UNREACHABLE', `The database cannot be reached (${error.code}).`, options);
  }
  if (/^[0-9A-Z]{5}$/.test(error.code)) {
    const where = error.constraint === undefined ? '' : ` (constraint ${error.constraint})`;
    return new DvError(
      'DV_DATABASE',
      `Postgres refused a statement with SQLSTATE ${error.code}${where}.`,
      options,
    );
  }
  return error;
}

/** What a SQL function refused. A newer database may have codes that this program does not know. */
function raisedOnPurpose(code: string, cause: PostgresError): DvError {
  if (isErrorCode(code)) return new DvError(code, cause.message, { cause });
  const named = /^DV_[A-Z_0-9]+$/.test(code) ? code : 'an error without a code';
  return new DvError(
    'DV_DATABASE_NEWER',
    `${cause.message} (${named}, which this dict-vsync does not know: the database is of a newer one.)`,
    { cause },
  );
}

/** Runs a query function and turns what Postgres throws into DvErrors. */
export async function translateDatabaseErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromDatabase(error);
  }
}
