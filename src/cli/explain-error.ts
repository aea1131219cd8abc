import { isAway } from '../errors/database-away.ts';
import { fromDatabase } from '../engine/index.ts';
import { DvError, type ErrorCode } from '../errors/dv-error.ts';

/** How a command ends: 0 success, 1 the job failed, 2 wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** SQLSTATEs of a missing schema, table or function: the database was never migrated. */
const NOT_MIGRATED = new Set(['3F000', '42P01', '42883', '42703']);

/** What to tell the user of an error, and the exit code. Never a stack trace for what we know. */
export function explain(error: unknown): { code: ErrorCode; message: string; exitCode: ExitCode } {
  const known = fromDatabase(error);
  if (!(known instanceof DvError)) {
    if (!isAway(error)) throw error;
    return {
      code: 'DV_DATABASE_UNREACHABLE',
      message:
        'The connection to the database was lost. What was under way is undone; run the command again.',
      exitCode: 1,
    };
  }
  const sqlState = known.code === 'DV_DATABASE' ? (known.cause as { code?: string }).code : undefined;
  if (sqlState !== undefined && NOT_MIGRATED.has(sqlState)) {
    return {
      code: 'DV_DATABASE_NOT_MIGRATED',
      message: 'The database has not our tables. Run `dict-vsync migrate`.',
      exitCode: 2,
    };
  }
  return { code: known.code, message: known.message, exitCode: known.exit };
}
