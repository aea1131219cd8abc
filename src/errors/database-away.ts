/**
 * SQLSTATEs of a server that cannot be used now: connections lost or used up, shutting down, starting, not promoted
 * yet.
 */
const AWAY_STATES = /^(08...|53300|57P0[1235]|25006)$/;
/**
 * Nothing listens, no route, a name that cannot be resolved yet (DNS, a container that is not up), a lost connection.
 */
const AWAY_ERRNOS =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|E(HOST|NET)(UNREACH|DOWN)|ENETRESET|ENOTFOUND|EAI_AGAIN)$/;
/**
 * While connecting: the socket's file does not exist yet (not a file that the URL names), or this host ran out of a
 * resource.
 */
const AWAY_CONNECTING = /^(ENOENT|EMFILE|ENFILE|ENOBUFS|EADDRNOTAVAIL)$/;
/** Messages of node-postgres, without any code, for a connection that was lost or not made in time. */
const AWAY_WORDS =
  /^(Connection terminated|timeout expired|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;

/**
 * Whether an error means that Postgres cannot be used now, but may be usable later without a change on our side. This
 * is the only place that decides it.
 */
export function isAway(error: unknown): boolean {
  const { code, syscall, message } = firstError(error);
  if (code === undefined) return AWAY_WORDS.test(message);
  if (AWAY_CONNECTING.test(code)) return syscall === 'connect';
  return AWAY_STATES.test(code) || AWAY_ERRNOS.test(code);
}

/**
 * The error to look at: connecting to a name with several addresses (localhost) fails with one error for all of them.
 */
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
