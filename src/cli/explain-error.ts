import { isAway } from '../errors/database-away.ts';
import { fromDatabase } from '../engine/index.ts';
import { DvError, type ErrorCode } from '../errors/dv-error.ts';

/** How a command ends: 0 success, 1 the job failed, 2 wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** SQLSTATEs of a missing schema, table, column or function: the database has not been migrated. */
const NOT_MIGRATED = new Set(['3F000', '42P01', '42883', '42703']);

/** Code, message and exit code of an error for the user. Known errors never show a stack trace. */
export function explain(error: unknown): { code: ErrorCode; message: string; exitCode: ExitCode } {
  const known = fromDatabase(error);
  if (!(known instanceof DvError)) {
    if (!isAway(error)) throw error;
    return {
      code: 'DV_DATABASE_UNREACHABLE',
      message:
        'The connection to the database was lost. The unfinished transaction is rolled back. Run the command again.',
      exitCode: 1,
    };
  }
  const sqlState = known.code === 'DV_DATABASE' ? (known.cause as { code?: string }).code : undefined;
  if (sqlState !== undefined && NOT_MIGRATED.has(sqlState)) {
    return {
      code: 'DV_DATABASE_NOT_MIGRATED',
      message: 'The database has not been migrated. Run `dict-vsync migrate`.',
      exitCode: 2,
    };
  }
  return { code: known.code, message: known.message, exitCode: known.exit };
}
