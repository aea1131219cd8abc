import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { applyMigrations, ConnectionPool, Queryable, sql } from '@databases/pg-migrations';
import pg from 'pg';
import { DvError } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';

/** A file of `migrations/`. */
export interface MigrationFile {
  /** `0001-workflow.sql` */
  name: string;
  script: string;
}

type ApplyParameters = Parameters<typeof applyMigrations>[0];
type Refusal = Parameters<NonNullable<ApplyParameters['handleError']>>[0];

const SCHEMA = 'workflow';
const APPLIED_TABLE = `${SCHEMA}.migrations_applied`;
const VERSION_TABLE = `${SCHEMA}.migrations_version`;

/** Whether exactly these migrations were applied, and none was edited since. Only reads. */
export async function isUpToDate(client: pg.Client, files: readonly MigrationFile[]): Promise<boolean> {
  const { rows: tables } = await client.query<{ present: boolean }>(
    `select to_regclass($1) is not null as present`,
    [APPLIED_TABLE],
  );
  if (!one(tables).present) return false;
  const { rows } = await client.query<{ name: string; digest: string }>(
    `select name, encode(sha256(convert_to(script, 'UTF8')), 'hex') as digest
     from ${APPLIED_TABLE} where not obsolete`,
  );
  const applied = new Map(rows.map((row) => [row.name, row.digest]));
  return (
    applied.size === files.length && files.every((file) => applied.get(file.name) === sha256(file.script))
  );
}

/**
 * Applies the migrations that are not applied yet, with their records, in the caller's transaction on this connection.
 * Returns their names. The caller must create the schemas before and ensure that nobody else migrates simultaneously.
 * Errors: DV_DATABASE_NEWER, DV_MIGRATION_EDITED, DV_MIGRATION_ORDER, and those of Postgres.
 */
export async function applyOurMigrations(
  client: pg.Client,
  files: readonly MigrationFile[],
): Promise<string[]> {
  // Loaded only when there is something to apply, because loading it takes longer than all the checks.
  const migrations = await import('@databases/pg-migrations');
  const applied: string[] = [];
  // pg-migrations reads a directory, and the single executable has no directory of migrations.
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-migrations-'));
  try {
    for (const file of files) await writeFile(join(directory, file.name), file.script);
    await migrations.applyMigrations({
      connection: onClient(client, migrations.sql),
      migrationsDirectory: directory,
      appliedMigrationsTableName: APPLIED_TABLE,
      versionTableName: VERSION_TABLE,
      handleError: (refusal) => Promise.reject(refusalError(refusal)),
      afterOperation: async (operation) => {
        if (operation.kind === 'applied') applied.push(operation.value.name);
      },
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return applied;
}

/**
 * Implements what pg-migrations needs of a connection on a connection of node-postgres. So the migrations run under the
 * same lock and limits, and the URL (TLS, sockets) means the same here as everywhere else.
 */
function onClient(client: pg.Client, tag: typeof sql): ConnectionPool {
  const query = async (text: ReturnType<typeof sql>): Promise<unknown[]> => {
    const { rows } = await client.query<Record<string, unknown>>(
      text.format({
        escapeIdentifier: pg.escapeIdentifier,
        formatValue: (value, index) => ({ placeholder: `$${index + 1}`, value }),
      }),
    );
    return rows;
  };
  const connection = {
    sql: tag,
    query,
    // Everything already runs in the caller's transaction.
    tx: async <T>(act: (transaction: Queryable) => Promise<T>): Promise<T> =>
      act(connection as unknown as Queryable),
  };
  return connection as unknown as ConnectionPool;
}

function refusalError(refusal: Refusal): DvError {
  if (refusal.code === 'migration_file_missing') {
    return new DvError(
      'DV_DATABASE_NEWER',
      `The database was migrated by a newer dict-vsync (${refusal.appliedMigration.name}). Use that version or a ` +
        'newer one.',
    );
  }
  if (refusal.code === 'migration_file_edited') {
    return new DvError(
      'DV_MIGRATION_EDITED',
      `The migration ${refusal.migrationFile.name} differs from the one applied to this database. Use an unchanged ` +
        'release of dict-vsync: changes belong in a new migration.',
    );
  }
  if (refusal.code === 'migration_order_change') {
    return new DvError(
      'DV_MIGRATION_ORDER',
      `The migration ${refusal.unappliedMigrations[0]?.name} was never applied to this database, though later ones ` +
        'were. Use a release of dict-vsync at least as new as the one that migrated it.',
    );
  }
  return new DvError('DV_MIGRATION_FAILED', `The files in migrations/ are not in order: ${refusal.code}.`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
