import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Pool } from 'pg';
import {
  type ConnectedSource,
  disconnectSource,
  loadSource,
  readRejects,
  readSources,
} from '../../dict/key-base/connected-tables.ts';
import { foldDeltas } from '../../dict/vsync/vsync-store.ts';
import { inTransaction } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { printAnswer, printNote } from '../output/print.ts';
import { command, type CommonOptions, group, wholeNumber } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount, table, formatTime } from '../output/format.ts';

interface RejectsOptions extends CommonOptions {
  source?: string;
  limit: number;
}

/** `dict-vsync connect`: feeds the key base from the participant's own tables, by a mapping in SQL. */
export function connect(): Command {
  return group(
    'connect',
    'Connects your own tables by a mapping in SQL: they feed the key base, and repairs are written to them (docs/guides/connected-tables.md).',
    ['connect add mapping.sql', 'connect list', 'connect rejects --json'],
  )
    .addCommand(add())
    .addCommand(list())
    .addCommand(load())
    .addCommand(rejects())
    .addCommand(remove());
}

function add(): Command {
  return command(
    'add',
    'Runs a mapping in one transaction, then loads the sources that it connected. A mapping is an SQL file that calls dict.connect_source and dict.feed_table.',
    ['connect add mapping.sql', 'connect add mapping.sql --json'],
  )
    .argument('<FILE>', 'the SQL file; - for stdin')
    .action(async (file: string, options: CommonOptions) => {
      const sql = await readSql(file);
      await withDatabase({}, async ({ pool }) => {
        const added = await runMapping(pool, sql);
        for (const name of added) {
          if (process.stderr.isTTY) printNote(`Loading ${name}…`);
          await loadSource(pool, name);
        }
        await foldDeltas(pool);
        const sources = (await readSources(pool)).filter(({ name }) => added.includes(name));
        printAnswer(options, { sources }, () => show(sources));
      });
    });
}

function list(): Command {
  return command('list', 'Lists the connected sources, and how many of their keys cannot be used.', [
    'connect list',
    'connect list --json',
  ]).action(async (options: CommonOptions) => {
    await withDatabase({}, async ({ pool }) => {
      const sources = await readSources(pool);
      printAnswer(options, { sources }, () => show(sources));
    });
  });
}

function load(): Command {
  return command(
    'load',
    'Makes the key base equal to what a source shows, while its writers keep working. It can be repeated at any time.',
    ['connect load core', 'connect load core --json'],
  )
    .argument('<NAME>', 'name of the source')
    .action(async (name: string, options: CommonOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const differed = await loadSource(pool, name);
        await foldDeltas(pool);
        printAnswer(
          options,
          { differed },
          () => `${formatCount(differed)} keys differed from what ${name} shows.`,
        );
      });
    });
}

function rejects(): Command {
  return command(
    'rejects',
    'Lists the keys of connected tables that cannot be used, with the reason (docs/guides/connected-tables.md).',
    ['connect rejects', 'connect rejects --source core --limit 1000 --json'],
  )
    .option('--source <NAME>', 'only keys of this source')
    .option('--limit <N>', 'show at most N keys', wholeNumber('--limit', 1, 1_000_000), 100)
    .action(async (options: RejectsOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const found = await readRejects(pool, options.source ?? null, options.limit);
        printAnswer(options, { rejects: found }, () =>
          found.length === 0
            ? 'Every key of the connected tables can be used.'
            : table(
                ['source', 'participant', 'key type', 'key', 'reason', 'since'],
                found.map((row) => [
                  row.source,
                  row.participant,
                  row.keyType,
                  row.key,
                  row.reason,
                  formatTime(row.since),
                ]),
              ),
        );
      });
    });
}

function remove(): Command {
  return command(
    'remove',
    'Disconnects a source: its triggers are removed, the key base stays unchanged, and repairs are written to the key base from now on.',
    ['connect remove core'],
  )
    .argument('<NAME>', 'name of the source')
    .action(async (name: string, options: CommonOptions) => {
      await withDatabase({}, async ({ pool }) => {
        await disconnectSource(pool, name);
        printAnswer(options, { removed: name }, () => `${name} is disconnected.`);
      });
    });
}

async function readSql(file: string): Promise<string> {
  try {
    return await (file === '-' ? text(process.stdin) : readFile(file, 'utf8'));
  } catch (cause) {
    throw new DvError(
      'DV_FILE_UNREADABLE',
      'The mapping cannot be read. Check its path and its permissions.',
      {
        // A file that the user names is not downloaded again.
        class: 'not_retryable',
        exit: 2,
        cause,
      },
    );
  }
}

/** Runs the file completely or not at all. Returns the names of the sources that it connected. */
async function runMapping(pool: Pool, sql: string): Promise<string[]> {
  return inTransaction(pool, async (tx) => {
    const before = new Set((await readSources(tx)).map(({ name }) => name));
    await tx.query(sql).catch((error: Error & { code?: string; position?: string }) => {
      // Errors of our own functions say what to do. Other errors of Postgres are about the user's SQL.
      if (error.code === 'DV000') throw error;
      throw new DvError(
        'DV_SOURCE_INVALID',
        `The mapping cannot be run: ${error.message} (SQLSTATE ${error.code ?? 'unknown'}${lineOf(sql, error.position)}). Nothing was changed.`,
        { cause: error },
      );
    });
    const added = (await readSources(tx)).map(({ name }) => name).filter((name) => !before.has(name));
    if (added.length === 0) {
      throw new DvError(
        'DV_SOURCE_INVALID',
        'The mapping connects no source. It must call dict.connect_source and dict.feed_table. Nothing was changed.',
      );
    }
    return added;
  });
}

function lineOf(sql: string, position: string | undefined): string {
  if (position === undefined) return '';
  return `, line ${sql.slice(0, Number(position)).split('\n').length}`;
}

function show(sources: readonly ConnectedSource[]): string {
  if (sources.length === 0) return 'No source is connected. Keys are written to dict.entries.';
  return table(
    ['source', 'participants', 'view', 'tables', 'loaded', 'unusable keys', 'queued'],
    sources.map((source) => [
      source.name,
      source.participants?.join(', ') ?? 'all',
      source.view,
      source.tables.join(', '),
      source.loadedAt === null ? 'not yet' : formatTime(source.loadedAt),
      formatCount(source.rejects),
      formatCount(source.queued),
    ]),
  );
}
