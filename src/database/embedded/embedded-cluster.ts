import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { access, chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DvError } from '../../errors/dv-error.ts';
import {
  reachableBinaries,
  serverAccount,
  serverSpawnOptions,
  type Account,
  type PostgresBinaries,
} from './embedded-binaries.ts';
import { identityArgument } from './embedded-process.ts';

/** The Postgres of one directory, with all that is needed to start its programs. */
export interface Cluster {
  directory: string;
  binaries: PostgresBinaries;
  /** The binaries or a copy of them. Set once it is known which of the two the account can reach. */
  reachable?: PostgresBinaries;
  /** The user it runs as if we are root. */
  account: Account | undefined;
  settings: Record<string, string>;
}

/** The file that says where a copy of the binaries is. */
export const COPY_NOTE = 'binaries';

const ALWAYS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  // Statements and details contain key data, and the log must not.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
};

/** Prepares a directory for an embedded Postgres. Returns its real path. */
export async function embeddedDirectory(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true });
    const directory = await realpath(path);
    await access(directory, constants.W_OK);
    // The directory contains a password and key data, which must never be committed.
    await writeFile(join(directory, '.gitignore'), '*\n', { flag: 'wx' }).catch(() => undefined);
    return directory;
  } catch (error) {
    throw new DvError(
      'DV_EMBEDDED_POSTGRES_FAILED',
      `The directory ${path} of the embedded Postgres cannot be written (${(error as NodeJS.ErrnoException).code}): ` +
        'run as its owner, or give DATABASE_URL or --database.',
      { cause: error },
    );
  }
}

/** The cluster of a directory, existing or not. */
export async function clusterIn(
  directory: string,
  binaries: PostgresBinaries,
  settings: Record<string, string>,
): Promise<Cluster> {
  return { directory, binaries, account: await serverAccount(dataOf(directory)), settings };
}

/** Creates the cluster unless it exists, completely or not at all. Returns the superuser's password. */
export async function prepareData(cluster: Cluster): Promise<string> {
  const { directory, account } = cluster;
  const data = dataOf(directory);
  const passwordFile = join(directory, 'password');
  const existing = await stat(data).catch(() => undefined);
  if (existing === undefined) {
    const password = randomBytes(24).toString('base64url');
    await rm(passwordFile, { force: true });
    await writeFile(passwordFile, password, { mode: 0o600, flag: 'wx' });
    await initialise(cluster, passwordFile);
  } else if (account === undefined && process.getuid !== undefined && existing.uid !== process.getuid()) {
    throw new DvError(
      'DV_EMBEDDED_POSTGRES_FAILED',
      `The data of the embedded Postgres in ${directory} belong to another user (uid ${existing.uid}): run as ` +
        'that user, or remove the directory, or give DATABASE_URL or --database.',
    );
  }
  try {
    return await readFile(passwordFile, 'utf8');
  } catch (error) {
    throw new DvError(
      'DV_EMBEDDED_POSTGRES_FAILED',
      `The password of the embedded Postgres cannot be read from ${passwordFile}: put it back, or remove the ` +
        'directory, or give DATABASE_URL or --database.',
      { cause: error },
    );
  }
}

async function initialise(cluster: Cluster, passwordFile: string): Promise<void> {
  const { directory, account } = cluster;
  const unfinished = join(directory, 'data.new');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  if (account !== undefined) {
    await chown(unfinished, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  const { initdb } = await reachable(cluster);
  const child = await run(cluster, initdb, [unfinished, passwordFile], ([data, password]) => [
    `--pgdata=${data}`,
    `--pwfile=${password}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(cluster.settings['fsync'] === 'off' ? ['--no-sync'] : []),
  ]);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit').catch(() => undefined);
  if (child.exitCode !== 0) throw await failed(directory, 'could not create its data directory');
  await rename(unfinished, dataOf(directory));
}

/** Starts the server on a free port without waiting until it is ready. */
export async function launchServer(cluster: Cluster): Promise<ChildProcess> {
  const { directory, settings } = cluster;
  // A server that was killed leaves this file behind. Another program may have its process id by now, and Postgres
  // would take that program for a running server.
  await rm(join(dataOf(directory), 'postmaster.pid'), { force: true });
  const { postgres } = await reachable(cluster);
  const port = await freePort();
  const child = await run(cluster, postgres, [dataOf(directory)], ([data = '']) => [
    '-D',
    data,
    '-p',
    String(port),
    ...Object.entries({ ...ALWAYS, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    '-c',
    identityArgument(directory),
  ]);
  child.unref();
  return child;
}

/**
 * Starts a program of Postgres detached, with its output in the log. If we are root on Linux, the program gets its
 * files as open descriptors and reaches them through /proc/self/fd, so that it need not enter the directories above
 * them.
 */
async function run(
  { directory, account }: Cluster,
  program: string,
  paths: string[],
  args: (paths: string[]) => string[],
): Promise<ChildProcess> {
  const handles: number[] = [];
  const open = (path: string, flags: string): number => {
    const handle = openSync(path, flags, 0o600);
    handles.push(handle);
    return handle;
  };
  try {
    const log = open(join(directory, 'postgres.log'), 'a');
    const byHandle = account !== undefined && process.platform === 'linux';
    const inherited = byHandle ? paths.map((path) => open(path, 'r')) : [];
    const names = byHandle ? paths.map((_, index) => `/proc/self/fd/${3 + index}`) : paths;
    const child = spawn(program, args(names), {
      ...serverSpawnOptions(account),
      detached: true,
      stdio: ['ignore', log, log, ...inherited],
    });
    await once(child, 'spawn');
    return child;
  } catch (error) {
    throw await failed(directory, `could not be started (${(error as NodeJS.ErrnoException).code})`, error);
  } finally {
    for (const handle of handles) closeSync(handle);
  }
}

/** DV_EMBEDDED_POSTGRES_FAILED with the last lines of the log. `what` completes the sentence "The Postgres …". */
export async function failed(directory: string, what: string, cause?: unknown): Promise<DvError> {
  const path = join(directory, 'postgres.log');
  const log = (await readFile(path, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-8);
  return new DvError(
    'DV_EMBEDDED_POSTGRES_FAILED',
    `The embedded Postgres in ${directory} ${what}. See ${path}, or give DATABASE_URL or --database. ` +
      `The log's last lines:\n${log.join('\n')}`,
    { cause },
  );
}

async function reachable(cluster: Cluster): Promise<PostgresBinaries> {
  const { directory, binaries, account } = cluster;
  cluster.reachable ??= await reachableBinaries(binaries, account, join(directory, COPY_NOTE));
  return cluster.reachable;
}

function dataOf(directory: string): string {
  return join(directory, 'data');
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port');
  return address.port;
}
