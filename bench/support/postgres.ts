import { join } from 'node:path';
import type { Pool } from 'pg';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.ts';
import { migrate } from '../../src/database/migrate/migrate.ts';
import { createPool } from '../../src/database/pool.ts';

/** A migrated database on a Postgres of its own. */
export interface BenchDatabase {
  url: string;
  pool: Pool;
  version: string;
  settings: Record<string, string>;
}

/**
 * As a participant would run it: durable, with enough memory that the peers' joins and sorts need no temporary files.
 */
const SETTINGS: Record<string, string> = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '1GB',
  work_mem: '512MB',
  maintenance_work_mem: '1GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '15min',
  max_connections: '100',
};

/** Of the pool. */
export const CONNECTIONS = 30;

/** Starts a temporary Postgres under `directory` with our migrations; `resources` ends it. */
export async function startDatabase(
  directory: string,
  resources: AsyncDisposableStack,
  more: Record<string, string> = {},
): Promise<BenchDatabase> {
  const settings = { ...SETTINGS, ...more };
  const server = await startEmbeddedPostgres({ directory: join(directory, 'postgres'), settings });
  resources.defer(async () => server.stop());
  await migrate(server.url);
  const pool = createPool(server.url, { max: CONNECTIONS, applicationName: 'bench' });
  resources.defer(async () => pool.end());
  const { rows } = await pool.query<{ version: string }>(
    "select current_setting('server_version') as version",
  );
  return { url: server.url, pool, version: rows[0]?.version ?? '', settings };
}
