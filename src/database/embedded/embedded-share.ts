import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DvError } from '../../errors/dv-error.ts';
import { runningServer } from './embedded-process.ts';
import { findBinaries } from './embedded-binaries.ts';
import { embeddedDirectory } from './embedded-cluster.ts';
import { startEmbeddedPostgres, stopEmbeddedPostgres, type EmbeddedPostgres } from './embedded-postgres.ts';
import { FileLock } from './file-lock.ts';

const DOOR_TIMEOUT_MS = 180_000;
const POLL_MS = 20;

/**
 * The embedded Postgres of a directory, shared by all commands that run at the same time. The first command starts it,
 * and the last one to call `stop` stops it. The data stay. Every command has a shared lock on `users.lock`; a command
 * that stops and gets the lock exclusively was the last. The kernel releases the lock of a killed process (kill -9), so
 * that process no longer counts. A server that it leaves behind is taken over by the next command and stopped with it.
 * Errors: DV_EMBEDDED_POSTGRES_MISSING, DV_EMBEDDED_POSTGRES_FAILED.
 */
export async function shareEmbeddedPostgres(baseDirectory = '.dict-vsync'): Promise<EmbeddedPostgres> {
  // Before anything is written, so that nothing is left behind if there is no Postgres.
  await findBinaries();
  const directory = await embeddedDirectory(baseDirectory);
  const users = openLock(join(directory, 'users.lock'));

  const leave = async (): Promise<void> => {
    users.release();
    if (users.tryExclusive()) await stopEmbeddedPostgres(directory);
    users.close();
  };
  // For a process that exits without calling `stop` (an uncaught error). It can no longer wait for anything.
  const abandon = (): void => {
    if (!openLock(doorOf(directory)).tryExclusive()) return;
    users.release();
    const server = runningServer(directory);
    if (server !== undefined && users.tryExclusive()) process.kill(server.pid, 'SIGINT');
  };

  const { url } = await throughTheDoor(directory, async () => {
    users.tryShared();
    try {
      return await startEmbeddedPostgres({ directory });
    } catch (error) {
      await leave();
      throw error;
    }
  });
  process.once('exit', abandon);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    process.off('exit', abandon);
    stopped ??= throughTheDoor(directory, leave);
    return stopped;
  };
  return { url, stop };
}

/** Only one process at a time may join or leave, so that no process joins a server that is being stopped. */
async function throughTheDoor<T>(directory: string, act: () => Promise<T>): Promise<T> {
  const door = openLock(doorOf(directory));
  try {
    const deadline = Date.now() + DOOR_TIMEOUT_MS;
    while (!door.tryExclusive()) {
      if (Date.now() > deadline) {
        throw new DvError(
          'DV_EMBEDDED_POSTGRES_FAILED',
          `Another command has been starting or stopping the embedded Postgres in ${directory} for ` +
            `${DOOR_TIMEOUT_MS / 1000} s. End that command, or give DATABASE_URL or --database.`,
          // That command may end.
          { class: 'retryable' },
        );
      }
      await delay(POLL_MS);
    }
    return await act();
  } finally {
    door.close();
  }
}

function doorOf(directory: string): string {
  return join(directory, 'door.lock');
}

function openLock(path: string): FileLock {
  try {
    return new FileLock(path);
  } catch (error) {
    throw new DvError(
      'DV_EMBEDDED_POSTGRES_FAILED',
      `The lock ${path} of the embedded Postgres cannot be opened: run as its owner, or give DATABASE_URL or ` +
        '--database.',
      { cause: error },
    );
  }
}
