import { Logger, runMigrations } from 'graphile-worker';
import type pg from 'pg';
import { listAssets, readAsset } from '../../assets.ts';
import { DvError } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';
import { describeDatabase, isAway } from '../connection-error.ts';
import {
  applyFunctions,
  createFunctionsForTables,
  functionsAreCurrent,
  type FunctionSet,
  missingFunctions,
  shippedFunctions,
} from './apply-functions.ts';
import { applyOurMigrations, isUpToDate, type MigrationFile } from './apply-migrations.ts';
import { connect, createPool, cutConnections } from '../pool.ts';

const OLDEST_SERVER = 15;

export interface MigrateOptions {
  /** The schema of Graphile Worker. The bank may already use Graphile Worker in the default schema. */
  graphileSchema?: string;
  /** Aborts the migration: what it did so far is rolled back. The error is the same as for a lost connection. */
  signal?: AbortSignal;
  /** For tests of two releases on one database. Default: what this program ships with. */
  shipped?: ShippedSchema;
}

/** The schema that a program needs: its migrations, then its functions and views. */
export interface ShippedSchema {
  migrations: readonly MigrationFile[];
  functions: FunctionSet;
}

/** The schema that this program ships with. */
export function shippedSchema(): ShippedSchema {
  return { migrations: migrationFiles(), functions: shippedFunctions() };
}

export interface MigrateResult {
  /** The names of our migrations that this call applied, in order. */
  applied: string[];
}

/**
 * Brings a database up to date: first Graphile Worker's own migrations, then in one transaction our migrations,
 * functions and views, then the setting in which the SQL functions find the schema of Graphile Worker. Processes that
 * call it simultaneously wait for each other, and all succeed. If there is nothing to do, it writes nothing and needs
 * no right to write.
 * Errors: DV_DATABASE_UNREACHABLE, DV_DATABASE_URL_INVALID, DV_DATABASE_FORBIDDEN, DV_POSTGRES_TOO_OLD,
 * DV_DATABASE_NOT_UTF8, DV_DATABASE_NEWER, DV_MIGRATION_EDITED, DV_MIGRATION_ORDER, DV_MIGRATION_FAILED.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<MigrateResult> {
  const { graphileSchema = 'graphile_worker', signal } = options;
  const client = await connect(databaseUrl, 'dict-vsync migrate', signal);
  try {
    await checkDatabase(client, graphileSchema);
    // The lock is released with the connection, however this ends. The role's own limits are meant for daily work.
    await client.query(
      `set statement_timeout = 0; set lock_timeout = 0; set client_min_messages = warning;
       select pg_advisory_lock(hashtext('dict-vsync migrate'))`,
    );
    await migrateGraphileWorker(databaseUrl, graphileSchema, signal);
    const applied = await bringUpToDate(client, options.shipped ?? shippedSchema());
    await saveGraphileSchema(client, graphileSchema, applied);
    return { applied };
  } catch (error) {
    throw migrationError(error, databaseUrl);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * Applies migrations, functions and views in one transaction, so that other sessions see the database either as it was
 * or complete. Writes nothing if the database is up to date. Returns the names of the migrations that were applied.
 */
async function bringUpToDate(client: pg.Client, shipped: ShippedSchema): Promise<string[]> {
  const { migrations, functions } = shipped;
  const migrated = await isUpToDate(client, migrations);
  const current = await functionsAreCurrent(client, functions);
  if (migrated && current) return [];
  await client.query('begin');
  try {
    for (const schema of ['workflow', 'dict']) {
      // Not "if not exists", which needs the right to create even when there is nothing to create.
      const { rowCount } = await client.query('select where to_regnamespace($1) is null', [schema]);
      if (rowCount === 1) await client.query(`create schema ${schema}`);
    }
    await createFunctionsForTables(
      client,
      functions,
      migrations.map(({ script }) => script),
    );
    const applied = migrated ? [] : await applyOurMigrations(client, migrations);
    if (!current) await applyFunctions(client, functions);
    const missing = await missingFunctions(client, functions);
    if (missing.length > 0 || !(await isUpToDate(client, migrations))) {
      throw new DvError(
        'DV_MIGRATION_FAILED',
        `After migrating, the database is still not what this program needs${missing.length === 0 ? '' : ` (it lacks ${missing.join(', ')})`}. ` +
          'Nothing was changed. Please report it.',
      );
    }
    await client.query('commit');
    return applied;
  } catch (error) {
    // If the connection was lost, Postgres has already rolled back. The first error is the one to report.
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

/** Input: Postgres' `server_version_num`, e.g. 150004. Errors: DV_POSTGRES_TOO_OLD before 15. */
export function assertServerVersion(versionNumber: number): void {
  const major = Math.floor(versionNumber / 10_000);
  if (major >= OLDEST_SERVER) return;
  throw new DvError(
    'DV_POSTGRES_TOO_OLD',
    `The database server is Postgres ${major}; dict-vsync needs ${OLDEST_SERVER} or newer. Upgrade the server.`,
  );
}

async function checkDatabase(client: pg.Client, graphileSchema: string): Promise<void> {
  const { rows } = await client.query<{
    version: number;
    encoding: string;
    creates: boolean;
    may_create: boolean;
  }>(
    `select current_setting('server_version_num')::int as version, getdatabaseencoding() as encoding,
            bool_or(to_regnamespace(quote_ident(name)) is null) as creates,
            has_database_privilege(current_database(), 'CREATE') as may_create
     from unnest(array['workflow', 'dict', $1]) as name`,
    [graphileSchema],
  );
  const database = one(rows);
  assertServerVersion(database.version);
  if (database.encoding !== 'UTF8') {
    throw new DvError(
      'DV_DATABASE_NOT_UTF8',
      `The database's encoding is ${database.encoding}, which cannot store names as DICT has them. Create a database ` +
        "with encoding 'UTF8' (template template0).",
    );
  }
  if (database.creates && !database.may_create) {
    throw new DvError(
      'DV_DATABASE_FORBIDDEN',
      'The schema must be set up, and this user lacks the right CREATE on the database. Grant it, or run ' +
        'dict-vsync migrate once as a user that has it.',
    );
  }
}

async function migrateGraphileWorker(
  connectionString: string,
  schema: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const exitCode = process.exitCode;
  // Graphile Worker's own pool has no error listener while it ends. A connection that breaks then would end the
  // process.
  const pgPool = createPool(connectionString, { max: 1, applicationName: 'dict-vsync migrate' });
  const cut = () => {
    cutConnections(pgPool);
  };
  signal?.addEventListener('abort', cut, { once: true });
  try {
    // Its warnings would go to the console. What matters in them is also thrown as an error.
    const logger = new Logger(() => () => undefined);
    await runMigrations({ pgPool, schema, logger });
  } catch (error) {
    // This exit code means that a newer Graphile Worker has changed its tables.
    if (process.exitCode !== 57) throw error;
    process.exitCode = exitCode;
    throw new DvError(
      'DV_DATABASE_NEWER',
      `The schema ${schema} was migrated by a newer Graphile Worker, which this dict-vsync cannot work with. ` +
        'Use a newer dict-vsync, or give its Graphile Worker a separate schema.',
      { cause: error },
    );
  } finally {
    signal?.removeEventListener('abort', cut);
    await pgPool.end();
  }
}

function migrationFiles(): MigrationFile[] {
  return listAssets('migrations')
    .filter((path) => path.endsWith('.sql'))
    .map((path) => ({
      name: path.slice(path.lastIndexOf('/') + 1),
      // A checkout may have converted the line ends, and the text is compared with the applied one.
      script: readAsset(path).replaceAll('\r\n', '\n'),
    }));
}

/** Stores the schema of Graphile Worker, if it changed or migrations were applied. */
async function saveGraphileSchema(client: pg.Client, schema: string, applied: string[]): Promise<void> {
  const { rowCount } = await client.query(
    `select from workflow.settings where name = 'graphile_worker_schema' and value = $1`,
    [schema],
  );
  if (rowCount !== 0 && applied.length === 0) return;
  await client.query(
    `insert into workflow.settings (name, value) values ('graphile_worker_schema', $1)
     on conflict (name) do update set value = excluded.value`,
    [schema],
  );
  await client.query('select workflow.tune_jobs()');
}

const LOCK_STATES = new Set(['40P01', '55P03']);

function migrationError(error: unknown, url: string): DvError {
  if (error instanceof DvError) return error;
  const { code = 'unknown', message } = error as { code?: string; message: string };
  if (isAway(error)) {
    return new DvError(
      'DV_DATABASE_UNREACHABLE',
      `The connection to Postgres at ${describeDatabase(url)} was lost while migrating. Run the migration again: what ` +
        'was already committed stays.',
      { class: 'retryable', cause: error },
    );
  }
  if (code === '42501') {
    return new DvError(
      'DV_DATABASE_FORBIDDEN',
      `This user lacks a right in the database (Postgres: ${message}). Grant it, or run dict-vsync migrate once as ` +
        'the owner of the schemas.',
      { cause: error },
    );
  }
  // Postgres' message is shown only if it is about the schema. Other messages may quote a row.
  const words = code.startsWith('42') ? `: ${message}` : '';
  return new DvError(
    'DV_MIGRATION_FAILED',
    `The database could not be migrated (SQLSTATE ${code}${words}). Nothing was changed.`,
    // After a deadlock with running work, or a lock that could not be taken in time, the next try may succeed.
    { class: LOCK_STATES.has(code) ? 'retryable' : 'not_retryable', cause: error },
  );
}
