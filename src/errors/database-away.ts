/** SQLSTATEs of a server that is none now: connections lost or used up, shutting down, starting, not promoted yet. */
const AWAY_STATES = /^(08...|53300|57P0[1235]|25006)$/;
/** Nobody listens, no way there, a name that leads nowhere yet (DNS, a container not up), a connection lost. */
const AWAY_ERRNOS =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|E(HOST|NET)(UNREACH|DOWN)|ENETRESET|ENOTFOUND|EAI_AGAIN)$/;
/** While connecting: a socket's file that is not there yet (not a file that the URL names), or what this host ran out of. */
const AWAY_CONNECTING = /^(ENOENT|EMFILE|ENFILE|ENOBUFS|EADDRNOTAVAIL)$/;
/** What node-postgres says, without any code, when a connection is lost or not made in time. */
const AWAY_WORDS =
  /^(Connection terminated|timeout expired|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;

/**
 * The rule of when the database is away: whether an error means that Postgres cannot be used now, and may be later
 * without anybody changing anything here.
 */
export function isAway(error: unknown): boolean {
  const { code, syscall, message } = firstError(error);
  if (code === undefined) return AWAY_WORDS.test(message);
  if (AWAY_CONNECTING.test(code)) return syscall === 'connect';
  return AWAY_STATES.test(code) || AWAY_ERRNOS.test(code);
}

/** What tells an error of a connection: a name with several addresses (localhost) fails with an error that collects theirs. */
export function firstError(error: unknown): { code?: string; syscall?: string; message: string } {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(first instanceof Error)) return { message: 'unknown error' };
  const { code, syscall } = first as NodeJS.ErrnoException;
  return {
    ...(code !== undefined && { code }),
    ...(syscall !== undefined && { syscall }),
    message: first.message,
  };
}
