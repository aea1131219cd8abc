import { DvError, UsageError } from '../errors.ts';

/**
 * Turns what node-postgres throws while connecting into a coded error that never holds the password. Input: the
 * error, and the database's URL.
 * Output: DV_DATABASE_URL_INVALID, DV_DATABASE_FORBIDDEN (user, password or pg_hba.conf) or
 * DV_DATABASE_UNREACHABLE (everything else; retryable unless the database doesn't exist).
 */
export function connectionError(error: unknown, url: string): DvError {
  const { code, message } = firstError(error);
  if (code === 'ERR_INVALID_URL') {
    // Node puts the whole URL into this error, so it isn't kept as the cause.
    return new UsageError(
      'DV_DATABASE_URL_INVALID',
      'The database URL cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special ' +
        'characters percent-encoded.',
    );
  }
  const where = describeDatabase(url);
  if (code?.startsWith('28')) {
    return new DvError(
      'DV_DATABASE_FORBIDDEN',
      `Postgres at ${where} does not let this user connect (SQLSTATE ${code}): check the user and password in the ` +
        'URL and pg_hba.conf.',
      { cause: error },
    );
  }
  if (code === '3D000') {
    return new DvError(
      'DV_DATABASE_UNREACHABLE',
      `There is no such database at ${where}: create it, or correct the URL.`,
      { cause: error },
    );
  }
  return new DvError(
    'DV_DATABASE_UNREACHABLE',
    `Postgres at ${where} cannot be reached (${code ?? message}): check that it runs and that the URL is right.`,
    { class: 'retryable', cause: error },
  );
}

/** Whether an error of a running query means that the connection itself was lost. */
export function isConnectionLost(error: unknown): boolean {
  const { code, message } = firstError(error);
  return (
    /^(08...|57P0[123])$/.test(code ?? '') ||
    ['ECONNRESET', 'EPIPE', 'ETIMEDOUT'].includes(code ?? '') ||
    message.startsWith('Connection terminated')
  );
}

/** Host, port and name of a database for a message: no user, no password, no parameters. */
export function describeDatabase(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return 'the given URL';
  const host = parsed.host === '' ? (parsed.searchParams.get('host') ?? 'localhost') : parsed.host;
  return `${host}${parsed.pathname}`;
}

/** A name with several addresses (localhost) fails with an error that collects theirs. */
function firstError(error: unknown): { code: string | undefined; message: string } {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(first instanceof Error)) return { code: undefined, message: 'unknown error' };
  return { code: (first as { code?: string }).code, message: first.message };
}
