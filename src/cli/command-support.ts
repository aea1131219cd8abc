import { Command, Option } from 'commander';
import { userInfo } from 'node:os';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { readSettings, type Settings } from '../settings.ts';
import { isAway } from '../errors/database-away.ts';
import { shareEmbeddedPostgres } from '../database/embedded/embedded-share.ts';
import { migrate } from '../database/migrate/migrate.ts';
import { assertReachable, createPool } from '../database/pool.ts';
import { parseIspb } from '../dict/entry/ispb.ts';
import { type KeyType, parseKeyType } from '../dict/entry/key-type.ts';
import { fromDatabase } from '../engine/index.ts';
import { DvError, UsageError } from '../errors/dv-error.ts';
import { createLog } from '../log.ts';

/** Options every command that answers has. */
export interface CommonOptions {
  json?: boolean;
}

/** How a command ends: 0 success, 1 the job failed, 2 wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** A command of its own file: declares its options and help, and what it does. */
export function command(name: string, summary: string, examples: readonly string[]): Command {
  return group(name, summary, examples).option('--json', 'print exactly one JSON document on stdout');
}

/** A command that only holds others. */
export function group(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(summary)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ dict-vsync ${line}`).join('\n')}`);
}

/** --participant ISPB. */
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
export function asUsage<A extends unknown[], T>(parse: (...args: A) => T): (...args: A) => T {
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

/** One of some words, for a flag; `fold` brings what was typed to their case. */
export function oneOf(
  name: string,
  words: readonly string[],
  fold = (value: string) => value,
): (value: string) => string {
  return (value) => {
    if (words.includes(fold(value))) return fold(value);
    throw new UsageError(
      'DV_USAGE',
      `Unknown ${name} "${value.slice(0, 40)}". Use one of ${words.join(', ')}.`,
    );
  };
}

/** --by NAME: who steers, by default the user of the operating system. */
export function byOption(): Option {
  return new Option('--by <NAME>', 'who asks for it; kept in the history').default(osUser(), 'you');
}

function osUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in a container.
    return `uid ${process.getuid?.()}`;
  }
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
  /** Leads to the same database without a transaction pooler: DATABASE_SESSION_URL, or `url`. */
  sessionUrl: string;
  pool: Pool;
  settings: Settings;
  log: Logger;
  /** The migrations that were applied on the way in. */
  applied: string[];
}

/** The participants a command is about: the one asked for, else the configured ones; none when there are none. */
export function participantsOf(options: { participant?: string }, settings: Settings): string[] {
  return options.participant === undefined ? settings.PARTICIPANT_ISPB : [options.participant];
}

/**
 * Runs a command's work on its database: DATABASE_URL, or the embedded Postgres that commands running at the same
 * time share. The embedded one is always migrated; a database of the user's only where `migrates` says so. With
 * `migrates: 'itself'` the work sees to all of that, and to whether the database is there at all.
 */
export async function withDatabase<T>(
  options: { connections?: number; migrates?: boolean | 'itself' },
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const { settings, log } = await ambient();
  const embedded = settings.DATABASE_URL === undefined ? await shareEmbeddedPostgres() : undefined;
  const url = settings.DATABASE_URL ?? embedded?.url ?? '';
  const sessionUrl = settings.DATABASE_SESSION_URL ?? url;
  if (embedded !== undefined) tell('No DATABASE_URL: using the embedded Postgres under .dict-vsync/.');
  const leave = async () => {
    await embedded?.stop();
  };
  const onSignal = () => void leave().finally(() => process.exit(130));
  if (embedded !== undefined) process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    let applied: string[] = [];
    if (options.migrates === 'itself') {
      // Not yet.
    } else if (embedded !== undefined || options.migrates === true) {
      ({ applied } = await migrate(sessionUrl, { graphileSchema: settings.GRAPHILE_WORKER_SCHEMA }));
    } else {
      await assertReachable(url);
    }
    const pool = createPool(url, {
      max: options.connections ?? 4,
      onError: (error) => log.warn({ error: error.name }, 'a database connection broke; it is replaced'),
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

/** SQLSTATEs of a missing schema, table or function: the database was never migrated. */
const NOT_MIGRATED = new Set(['3F000', '42P01', '42883', '42703']);

/** What to tell the user of an error, and the exit code. Never a stack trace for what we know. */
export function explain(error: unknown): { code: string; message: string; exitCode: ExitCode } {
  const known = fromDatabase(error);
  if (!(known instanceof DvError)) {
    if (!isAway(error)) throw error;
    return {
      code: 'DV_DATABASE_UNREACHABLE',
      message:
        'The connection to the database was lost. What was under way is undone; run the command again.',
      exitCode: 1,
    };
  }
  const sqlState = known.code === 'DV_DATABASE' ? (known.cause as { code?: string }).code : undefined;
  if (sqlState !== undefined && NOT_MIGRATED.has(sqlState)) {
    return {
      code: 'DV_DATABASE_NOT_MIGRATED',
      message: 'The database has not our tables. Run `dict-vsync migrate`.',
      exitCode: 2,
    };
  }
  const usage = known instanceof UsageError || CONFIGURATION.has(known.code);
  return { code: known.code, message: known.message, exitCode: usage ? 2 : 1 };
}

/** Errors that are the usage's or the configuration's, though they turn up while working. */
const CONFIGURATION = new Set([
  'DV_EMBEDDED_POSTGRES_MISSING',
  'DV_POSTGRES_TOO_OLD',
  'DV_DATABASE_NOT_UTF8',
  'DV_DATABASE_FORBIDDEN',
  'DV_DATABASE_NEWER',
  'DV_CRONTAB_INVALID',
  'DV_MACHINE_CHANGED',
  'DV_PARTICIPANT_MISSING',
  'DV_DECISION_UNSIGNED',
  'DV_RELEASE_UNNAMED',
  'DV_KEY_EVENTS_CONNECTED',
  'DV_TOPIC_INVALID',
]);
