import { firstError, isAway } from '../errors/database-away.ts';
import { DvError } from '../errors/dv-error.ts';

export { isAway } from '../errors/database-away.ts';

/**
 * Turns an error that node-postgres throws while connecting into a coded error that never contains the password.
 * Input: the error and the database's URL.
 * Output: DV_DATABASE_URL_INVALID, DV_DATABASE_FORBIDDEN (user, password or pg_hba.conf) or
 * DV_DATABASE_UNREACHABLE (everything else; retryable if the cause may pass by itself, see `isAway`).
 */
export function connectionError(error: unknown, url: string): DvError {
  const { code, message } = firstError(error);
  if (code === 'ERR_INVALID_URL') {
    // Node puts the whole URL into this error, so it isn't kept as the cause.
    return new DvError(
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
      // Waiting does not create the database.
      { class: 'not_retryable', cause: error },
    );
  }
  return new DvError(
    'DV_DATABASE_UNREACHABLE',
    `Postgres at ${where} cannot be reached (${code ?? message}): check that it runs and that the URL is right.`,
    { class: isAway(error) ? 'retryable' : 'not_retryable', cause: error },
  );
}

/** Host, port and name of a database for a message, without user, password and parameters. */
export function describeDatabase(url: string): string {
  const parsed = URL.parse(url);
  // An "@" after the host means that a password contains a "/" that was not encoded. What looks like the database's
  // name is then the rest of the password.
  if (parsed === null || parsed.pathname.includes('@')) return 'the given URL';
  const host = parsed.host === '' ? (parsed.searchParams.get('host') ?? 'localhost') : parsed.host;
  return `${host}${parsed.pathname}`;
}
