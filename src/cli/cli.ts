import { Command, Option } from 'commander';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { readSettings, type Settings } from '../config.ts';
import { shareEmbeddedPostgres } from '../database/embedded-share.ts';
import { migrate } from '../database/migrate.ts';
import { createPool } from '../database/pool.ts';
import { parseIspb } from '../dict/ispb.ts';
import { type KeyType, parseKeyType } from '../dict/key-type.ts';
import { fromDatabase } from '../engine/index.ts';
import { DvError, UsageError } from '../errors.ts';
import { createLog } from '../log.ts';

/** Options every command that answers has. */
export interface CommonOptions {
  json?: boolean;
}

/** How a command ends: 0 success, 1 the job failed, 2 wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** A command of its own file: declares its options and help, and what it does. */
export function command(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(summary)
    .option('--json', 'print exactly one JSON document on stdout')
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ dict-vsync ${line}`).join('\n')}`);
}

/** --participant ISPB; `many`: may be repeated. */
export function participantOption(): Option {
  return new Option(
    '--participant <ISPB>',
    'the participant, 8 digits (default: those of PARTICIPANT_ISPB)',
  ).argParser(asUsage(parseIspb));
}

/** --key-type T …: one or several. */
export function keyTypesOption(): Option {
  return new Option(
    '--key-type <T...>',
    'key types: CPF, CNPJ, PHONE, EMAIL, EVP (default: all five)',
  ).argParser(
    asUsage((value: string, before?: KeyType[]) => [...(before ?? []), parseKeyType(value.toUpperCase())]),
  );
}

/** A parser of a flag's value whose refusal is wrong usage. */
export function asUsage<A extends [string, ...unknown[]], T>(parse: (...args: A) => T): (...args: A) => T {
  return (...args) => {
    try {
      return parse(...args);
    } catch (error) {
      if (error instanceof DvError) throw new UsageError(error.code, error.message, { cause: error });
      throw error;
    }
  };
}

/** A whole number between two bounds, for a flag. */
export function wholeNumber(name: string, min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= min && number <= max) return number;
    throw new UsageError('DV_USAGE', `${name} takes a whole number from ${min} to ${max}.`);
  };
}

/** Prints a command's answer: one JSON document, or text for a person. */
export function answer(options: CommonOptions, json: unknown, text: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(json, null, 2)}\n` : `${text()}\n`);
}

/** One line to the person at the terminal, beside the answer. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The settings of this process's environment, and its log. */
export async function ambient(): Promise<{ settings: Settings; log: Logger }> {
  const settings = readSettings(process.env);
  const log = await createLog({ level: settings.LOG_LEVEL, pretty: process.stderr.isTTY });
  return { settings, log };
}

export interface Database {
  url: string;
  pool: Pool;
  settings: Settings;
  log: Logger;
}

/**
 * Runs a command's work on its database: DATABASE_URL, or the embedded Postgres that commands running at the same
 * time share. The embedded one is always migrated; a database of the user's only where `migrates` says so.
 */
export async function withDatabase<T>(
  options: { connections?: number; migrates?: boolean },
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const { settings, log } = await ambient();
  const embedded = settings.DATABASE_URL === undefined ? await shareEmbeddedPostgres() : undefined;
  const url = settings.DATABASE_URL ?? embedded?.url ?? '';
  if (embedded !== undefined) tell('No DATABASE_URL: using the embedded Postgres under .dict-vsync/.');
  const leave = async () => {
    await embedded?.stop();
  };
  const onSignal = () => void leave().finally(() => process.exit(130));
  if (embedded !== undefined) process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    if (embedded !== undefined || options.migrates === true) {
      await migrate(url, { graphileSchema: settings.GRAPHILE_WORKER_SCHEMA });
    }
    const pool = createPool(url, {
      max: options.connections ?? 4,
      onError: (error) => log.warn({ error: error.name }, 'a database connection broke; it is replaced'),
    });
    try {
      return await work({ url, pool, settings, log });
    } finally {
      await pool.end();
    }
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await leave();
  }
}

/** SQLSTATEs of a missing schema, table or function: the database was never migrated. */
const NOT_MIGRATED = new Set(['3F000', '42P01', '42883', '42703']);

/** What to tell the user of an error, and the exit code. Never a stack trace for what we know. */
export function explain(error: unknown): { code: string; message: string; exitCode: ExitCode } {
  const sqlState = (error as { code?: unknown } | null)?.code;
  if (typeof sqlState === 'string' && NOT_MIGRATED.has(sqlState)) {
    return {
      code: 'DV_DATABASE_NOT_MIGRATED',
      message: 'The database has not our tables. Run `dict-vsync migrate`.',
      exitCode: 2,
    };
  }
  const known = fromDatabase(error);
  if (known instanceof UsageError) return { code: known.code, message: known.message, exitCode: 2 };
  if (known instanceof DvError) {
    return { code: known.code, message: known.message, exitCode: CONFIGURATION.has(known.code) ? 2 : 1 };
  }
  throw error;
}

/** Errors that are the configuration's, though they turn up while working. */
const CONFIGURATION = new Set([
  'DV_EMBEDDED_POSTGRES_MISSING',
  'DV_POSTGRES_TOO_OLD',
  'DV_DATABASE_NOT_UTF8',
  'DV_DATABASE_FORBIDDEN',
  'DV_DATABASE_NEWER',
  'DV_CRONTAB_INVALID',
  'DV_MACHINE_CHANGED',
]);
