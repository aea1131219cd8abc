import { DvError } from '../errors/dv-error.ts';

/**
 * Turns what node-postgres throws while connecting into a coded error that never holds the password. Input: the
 * error, and the database's URL.
 * Output: DV_DATABASE_URL_INVALID, DV_DATABASE_FORBIDDEN (user, password or pg_hba.conf) or
 * DV_DATABASE_UNREACHABLE (everything else; retryable where it may pass by itself, see `isAway`).
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
      // Waiting creates no database.
      { class: 'not_retryable', cause: error },
    );
  }
  return new DvError(
    'DV_DATABASE_UNREACHABLE',
    `Postgres at ${where} cannot be reached (${code ?? message}): check that it runs and that the URL is right.`,
    { class: isAway(error) ? 'retryable' : 'not_retryable', cause: error },
  );
}

/** SQLSTATEs of a server that is none now: connections lost or used up, shutting down, starting, not promoted yet. */
const AWAY_STATES = /^(08...|53300|57P0[1235]|25006)$/;
/** Nobody listens, no way there, a name that leads nowhere yet (DNS, a container not up), a connection lost. */
const AWAY_ERRNOS =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|E(HOST|NET)(UNREACH|DOWN)|ENETRESET|ENOTFOUND|EAI_AGAIN)$/;
/** What node-postgres says, without any code, when a connection is lost or not made in time. */
const AWAY_WORDS =
  /^(Connection terminated|timeout expired|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;

/** Whether an error means that Postgres cannot be used now, and may be later without anybody changing anything here. */
export function isAway(error: unknown): boolean {
  const { code, syscall, message } = firstError(error);
  if (code === undefined) return AWAY_WORDS.test(message);
  // A socket's file that is not there yet; not a file that the URL names.
  if (code === 'ENOENT') return syscall === 'connect';
  return AWAY_STATES.test(code) || AWAY_ERRNOS.test(code);
}

/** Host, port and name of a database for a message: no user, no password, no parameters. */
export function describeDatabase(url: string): string {
  const parsed = URL.parse(url);
  // With an "@" behind the host, what looks like the database is the rest of a password with a "/" that was not encoded.
  if (parsed === null || parsed.pathname.includes('@')) return 'the given URL';
  const host = parsed.host === '' ? (parsed.searchParams.get('host') ?? 'localhost') : parsed.host;
  return `${host}${parsed.pathname}`;
}

/** A name with several addresses (localhost) fails with an error that collects theirs. */
function firstError(error: unknown): {
  code?: string | undefined;
  syscall?: string | undefined;
  message: string;
} {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(first instanceof Error)) return { message: 'unknown error' };
  const { code, syscall } = first as NodeJS.ErrnoException;
  return { code, syscall, message: first.message };
}
