import type { Command } from 'commander';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';

/** `dict-vsync migrate`: migrates the database. */
export function migrate(): Command {
  return command(
    'migrate',
    'Migrates the database to this version, and prints the migrations that it applied.',
    ['migrate', 'DATABASE_URL=postgres://… dict-vsync migrate --json'],
  ).action(async (options: CommonOptions) => {
    await withDatabase({ migrates: true }, ({ applied }) => {
      printAnswer(options, { applied }, () =>
        applied.length === 0
          ? 'The database is up to date.'
          : ['Applied:', ...applied.map((name) => `  ${name}`)].join('\n'),
      );
      return Promise.resolve();
    });
  });
}
