import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest';
import { createPool } from '../../src/database/pool.ts';

/** A database for one test file. */
export interface TestDatabase {
  url: string;
  pool: pg.Pool;
  /** Ends the pool and removes the database, whoever is still connected to it. */
  drop(): Promise<void>;
}

/** A migrated database of the test's own: a copy of the template that global-setup.ts made. */
export function createTestDatabase(): Promise<TestDatabase> {
  return createDatabase(`template ${inject('postgres').template}`);
}

/** A database without any of our objects. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase("template template0 encoding 'UTF8'");
}

/**
 * A migrated database for the whole test file, made before its first test and dropped after its last one, or one for
 * each test. Call it at the top of the file; its members exist from the first `beforeAll` (`beforeEach`) on.
 */
export function useTestDatabase(per: 'file' | 'test' = 'file'): Readonly<Pick<TestDatabase, 'url' | 'pool'>> {
  let database: TestDatabase | undefined;
  const [before, after] = per === 'file' ? [beforeAll, afterAll] : [beforeEach, afterEach];
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database?.drop());
  const opened = (): TestDatabase => {
    if (database === undefined) throw new Error('the test database exists only in hooks and tests');
    return database;
  };
  return {
    get url() {
      return opened().url;
    },
    get pool() {
      return opened().pool;
    },
  };
}

async function createDatabase(from: string): Promise<TestDatabase> {
  const name = `${inject('postgres').prefix}${randomBytes(6).toString('hex')}`;
  await onServer(async (client) => {
    // One at a time: a template is copied only while nobody is connected to it.
    await client.query("select pg_advisory_lock(hashtext('dict-vsync test databases'))");
    await client.query(`create database ${name} ${from}`);
  });
  const url = new URL(inject('postgres').url);
  url.pathname = `/${name}`;
  const pool = createPool(url.href);
  const drop = async (): Promise<void> => {
    await pool.end();
    await onServer((client) => client.query(`drop database if exists ${name} with (force)`));
  };
  return { url: url.href, pool, drop };
}

async function onServer(act: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: inject('postgres').url });
  await client.connect();
  try {
    await act(client);
  } finally {
    await client.end();
  }
}
