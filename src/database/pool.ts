import { Socket } from 'node:net';
import pg from 'pg';
import { pinSession } from '../pin-session.ts';
import { connectionError } from './connection-error.ts';

export interface PoolOptions {
  /** The maximum number of connections. Default 10. */
  max?: number;
  /** The name shown in pg_stat_activity. Default `dict-vsync`. */
  applicationName?: string;
  /**
   * Server-side limits, in ms: a statement that runs longer, or waits longer for a lock, is cancelled. Default: the
   * limits of the role or the server. They are set once per session, so not for connections through a transaction
   * pooler.
   */
  limits?: { statementMs: number; lockMs: number };
  /** A query without an answer after this time fails, and its connection is closed. Default: no limit. */
  queryTimeoutMs?: number;
  /** Called for each connection that breaks while idle. The pool replaces it by itself. */
  onError?: (error: Error) => void;
}

/** The time before the first keepalive probe of a silent connection. Ten more follow, one per second. */
const KEEP_ALIVE_MS = 10_000;
const sockets = new WeakMap<pg.Pool, Set<Socket>>();

/**
 * A pool of connections. The URL decides about TLS (`sslmode`, `sslrootcert`, …). A connection that breaks while idle
 * does not end the process. The pool connects only on first use, see `assertReachable`.
 * Errors: DV_DATABASE_URL_INVALID.
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
      // Not as start-up parameters, because poolers in front of Postgres refuse parameters that they don't know.
      // oxlint-disable-next-line typescript/no-misused-promises -- it is awaited, though its type does not show it
      onConnect: async (client: pg.ClientBase) => startSession(client, limits),
    });
    sockets.set(pool, open);
    const { onError } = options;
    pool.on('error', (error) => onError?.(error));
    // While a connection is in use, its loss makes the running query fail. Without a listener the process would end
    // too.
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  } catch (error) {
    throw connectionError(error, url);
  }
}

/**
 * Cuts every connection of a pool made by `createPool`, whatever it waits for. The pool opens new ones when it needs
 * them. For connections that may be dead without either side knowing it, or that lead to a server that is no longer the
 * right one.
 */
export function cutConnections(pool: pg.Pool): void {
  for (const socket of sockets.get(pool) ?? []) socket.destroy();
}

async function startSession(client: pg.ClientBase, limits: PoolOptions['limits']): Promise<void> {
  await pinSession(client);
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

/** Opens a single connection, which the caller ends or `signal` cuts. The errors are those of `assertReachable`. */
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
    // A lost connection makes the running query fail. Without a listener the process would end too.
    client.on('error', () => undefined);
    await client.connect();
    await pinSession(client);
    return client;
  } catch (error) {
    throw connectionError(error, url);
  }
}
