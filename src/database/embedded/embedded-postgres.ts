import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { findBinaries, removeCopy } from './embedded-binaries.ts';
import {
  clusterIn,
  COPY_NOTE,
  embeddedDirectory,
  failed,
  launchServer,
  prepareData,
  type Cluster,
} from './embedded-cluster.ts';
import { runningServer } from './embedded-process.ts';

/** An embedded Postgres in use. */
export interface EmbeddedPostgres {
  /** The URL of its database `dict_vsync`, with user and password, on the loopback interface. */
  url: string;
  /** Stops using the server, and stops the server unless other commands share it. The data stay. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** The directory for the data, the password and the log. Created if it does not exist. */
  directory: string;
  /** Postgres settings for a server that this call starts, e.g. `{ fsync: 'off' }`. A running server keeps its own. */
  settings?: Record<string, string>;
}

/** For temporary databases: nothing survives a crash of the machine. */
export const THROWAWAY_SETTINGS: Record<string, string> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
};

const DATABASE = 'dict_vsync';
const START_TIMEOUT_MS = 120_000;
const FAST_STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const ATTEMPTS = 3;
const RETRY_MS = 300;

/**
 * Starts our own Postgres in a directory, on a free loopback port, or takes over the one that is already running there
 * (left behind by a process killed with kill -9). It outlives this process unless `stop` is called.
 * As root it runs as an unprivileged user (see `serverAccount`), wherever the directory is.
 * Errors: DV_EMBEDDED_POSTGRES_MISSING, DV_EMBEDDED_POSTGRES_FAILED with the last lines of its log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  // Before anything is written, so that nothing is left behind if there is no Postgres.
  const binaries = await findBinaries();
  const directory = await embeddedDirectory(options.directory);
  const url = await ensureRunning(await clusterIn(directory, binaries, options.settings ?? {}));
  return { url, stop: () => stopEmbeddedPostgres(directory) };
}

/** Stops the server of a directory, if one runs there, and waits until it has ended. */
export async function stopEmbeddedPostgres(directory: string): Promise<void> {
  const server = runningServer(directory);
  if (server !== undefined) {
    signal(server.pid, 'SIGINT');
    const patience = Date.now() + FAST_STOP_TIMEOUT_MS;
    let forced = false;
    while (runningServer(directory)?.pid === server.pid) {
      if (!forced && Date.now() > patience) {
        signal(server.pid, 'SIGQUIT');
        forced = true;
      }
      await delay(POLL_MS);
    }
  }
  await removeCopy(join(directory, COPY_NOTE));
}

async function ensureRunning(cluster: Cluster): Promise<string> {
  const { directory } = cluster;
  const password = await prepareData(cluster);
  const deadline = Date.now() + START_TIMEOUT_MS;
  let starting: ChildProcess | undefined;
  let attempts = 0;
  while (Date.now() < deadline) {
    const running = runningServer(directory);
    const ended = starting === undefined || starting.exitCode !== null || starting.signalCode !== null;
    if (running?.port !== undefined) {
      const url = `postgres://postgres:${password}@127.0.0.1:${running.port}/${DATABASE}`;
      if (await acceptsConnections(url, directory)) return url;
    } else if (running === undefined && ended) {
      // The last start may have failed because another program took the free port, or because the memory of a killed
      // server was not free yet.
      if (attempts === ATTEMPTS) break;
      await delay(attempts * RETRY_MS);
      starting = await launchServer(cluster);
      attempts += 1;
    }
    await delay(POLL_MS);
  }
  throw await failed(directory, 'did not start');
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It ended by itself in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** False while the server does not accept connections yet. Creates our database if it does not exist. */
async function acceptsConnections(url: string, directory: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === '3D000') {
      await createDatabase(url);
      return true;
    }
    // Too many connections: the server runs. The caller gets this error itself when it connects.
    if (code === '53300') return true;
    if (code?.startsWith('28'))
      throw await failed(directory, 'does not accept the password in the file beside its data', error);
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(url: string): Promise<void> {
  const maintenance = new URL(url);
  maintenance.pathname = '/postgres';
  const client = new pg.Client({ connectionString: maintenance.href });
  await client.connect();
  try {
    await client.query(`create database ${DATABASE}`);
  } catch (error) {
    // Another process has created the database first.
    if (!['42P04', '23505'].includes((error as { code?: string }).code ?? '')) throw error;
  } finally {
    await client.end();
  }
}
