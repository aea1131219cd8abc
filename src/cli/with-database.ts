import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { readSettings, type Settings } from '../settings.ts';
import { shareEmbeddedPostgres } from '../database/embedded/embedded-share.ts';
import { migrate } from '../database/migrate/migrate.ts';
import { assertReachable, createPool } from '../database/pool.ts';
import { createLog } from '../log.ts';
import { printNote } from './output/print.ts';

/** The settings of this process's environment, and its log. */
export async function ambient(): Promise<{ settings: Settings; log: Logger }> {
  const settings = readSettings(process.env);
  const log = await createLog({ level: settings.LOG_LEVEL, pretty: process.stderr.isTTY });
  return { settings, log };
}

export interface Database {
  url: string;
  /** URL of the same database without a transaction pooler: DATABASE_SESSION_URL, or `url`. */
  sessionUrl: string;
  pool: Pool;
  settings: Settings;
  log: Logger;
  /** The migrations that were applied before the work began. */
  applied: string[];
}

/**
 * Runs the work of a command on its database: DATABASE_URL, or the embedded Postgres, which commands that run at the
 * same time share. The embedded one is always migrated, a database of the user only if `migrates` says so. With
 * `migrates: 'itself'` the work migrates the database and waits for it if it is unreachable.
 */
export async function withDatabase<T>(
  options: { connections?: number; migrates?: boolean | 'itself' },
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const { settings, log } = await ambient();
  const embedded = settings.DATABASE_URL === undefined ? await shareEmbeddedPostgres() : undefined;
  const url = settings.DATABASE_URL ?? embedded?.url ?? '';
  const sessionUrl = settings.DATABASE_SESSION_URL ?? url;
  if (embedded !== undefined) printNote('No DATABASE_URL: using the embedded Postgres under .dict-vsync/.');
  const leave = async () => {
    await embedded?.stop();
  };
  const onSignal = () => void leave().finally(() => process.exit(130));
  if (embedded !== undefined) process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    let applied: string[] = [];
    if (options.migrates === 'itself') {
      // The work migrates it.
    } else if (embedded !== undefined || options.migrates === true) {
      ({ applied } = await migrate(sessionUrl, { graphileSchema: settings.GRAPHILE_WORKER_SCHEMA }));
    } else {
      await assertReachable(url);
    }
    const pool = createPool(url, {
      max: options.connections ?? 4,
      onError: (error) => log.warn({ error: error.name }, 'a database connection was lost; it is replaced'),
    });
    try {
      return await work({ url, sessionUrl, pool, settings, log, applied });
    } finally {
      await pool.end();
    }
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await leave();
  }
}
