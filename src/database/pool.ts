import { Socket } from 'node:net';
import pg from 'pg';
import { connectionError } from './connection-error.ts';

export interface PoolOptions {
  /** Most connections at once. Default 10. */
  max?: number;
  /** What pg_stat_activity shows. Default `dict-vsync`. */
  applicationName?: string;
  /**
   * Server-side limits, in ms: a statement that runs longer, or waits longer for a lock, is broken off. Default: as the
   * role or the server says. Set once a session: not for connections through a transaction pooler.
   */
  limits?: { statementMs: number; lockMs: number };
  /** An answer that takes longer is not waited for: the query fails and its connection goes. Default: no limit. */
  queryTimeoutMs?: number;
  /** Told of every connection that breaks while idle; the pool replaces it by itself. */
  onError?: (error: Error) => void;
}

/** Before the first keepalive probe of a quiet connection; ten more follow, one a second. */
const KEEP_ALIVE_MS = 10_000;
const sockets = new WeakMap<pg.Pool, Set<Socket>>();

/**
 * A pool of connections. TLS as the URL says (`sslmode`, `sslrootcert`, …). A connection that breaks while idle
 * does not end the process.
 * Errors: DV_DATABASE_URL_INVALID; it connects on first use only, see `assertReachable`.
 */
export function createPool(url: string, options: PoolOptions = {}): pg.Pool {
  const { limits } = options;
  try {
    const open = new Set<Socket>();
    const pool = new pg.Pool({
      stream: () => tracked(open),
      connectionString: url,
      max: options.max ?? 10,
      application_name: options.applicationName ?? 'dict-vsync',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      query_timeout: options.queryTimeoutMs,
      // Not as start-up parameters: poolers in front of Postgres refuse those they don't know.
      // oxlint-disable-next-line typescript/no-misused-promises -- it is awaited, which its type does not tell
      onConnect: async (client: pg.ClientBase) => pinSession(client, limits),
    });
    sockets.set(pool, open);
    const { onError } = options;
    pool.on('error', (error) => onError?.(error));
    // In use, a lost connection shows in the query that meets it; without a listener it would end the process.
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  } catch (error) {
    throw connectionError(error, url);
  }
}

/**
 * Cuts every connection of a pool made by `createPool`, whatever it waits for; the pool makes new ones when asked. For
 * connections that may be dead without either side knowing, or lead to a server that is no longer the right one.
 */
export function cutConnections(pool: pg.Pool): void {
  for (const socket of sockets.get(pool) ?? []) socket.destroy();
}

/**
 * Makes a session's settings ours, whatever the role, the database or the server says: names are found in pg_catalog only
 * (ours are written with their schema), and times come in the one form that node-postgres reads. Behind a pooler in
 * transaction mode a statement may meet a session without them: our SQL functions pin their path themselves.
 */
async function pinSession(client: pg.ClientBase, limits?: PoolOptions['limits']): Promise<void> {
  await client.query(
    `select set_config('search_path', 'pg_catalog, pg_temp', false), set_config('datestyle', 'ISO, YMD', false),
       set_config('intervalstyle', 'postgres', false)`,
  );
  if (limits === undefined) return;
  await client.query(
    `select set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)`,
    [String(limits.statementMs), String(limits.lockMs)],
  );
}

function tracked(open: Set<Socket>): Socket {
  const socket = new Socket();
  open.add(socket);
  socket.once('close', () => open.delete(socket));
  return socket;
}

function cutBy(signal: AbortSignal | undefined): Socket {
  const socket = new Socket();
  const cut = () => void socket.destroy();
  signal?.addEventListener('abort', cut, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', cut));
  return socket;
}

/** Connects once. Errors: DV_DATABASE_UNREACHABLE, DV_DATABASE_FORBIDDEN, DV_DATABASE_URL_INVALID. */
export async function assertReachable(url: string): Promise<void> {
  const client = await connect(url, 'dict-vsync check');
  await client.end();
}

/** A connection of its own, which the caller ends, or `signal` cuts. Errors as `assertReachable`. */
export async function connect(
  url: string,
  applicationName: string,
  signal?: AbortSignal,
): Promise<pg.Client> {
  try {
    const client = new pg.Client({
      stream: () => cutBy(signal),
      connectionString: url,
      application_name: applicationName,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    });
    // A lost connection shows in the query that meets it; without a listener it would end the process.
    client.on('error', () => undefined);
    await client.connect();
    await pinSession(client);
    return client;
  } catch (error) {
    throw connectionError(error, url);
  }
}
