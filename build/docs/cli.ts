import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';
import type { Page } from './page.ts';

/** What `--help` prints of each command, in the order of the program's own help. */
export const cliPage: Page = { file: 'docs/reference/cli.md', text };

function text(): string {
  const program = createProgram();
  return [
    '# Command line',
    '',
    '<!-- Generated from src/cli/commands by `npm run docs`. Change the text there. -->',
    '',
    'Every command explains itself with `--help`; this page is that text. `--json` prints exactly one JSON document on',
    'stdout, and logs go to stderr. Exit codes: 0 success, 1 the job failed, 2 wrong usage or configuration.',
    'Settings come from the environment: [settings.md](settings.md). The same can be done in SQL: [sql.md](sql.md).',
    '',
    '| command | does |',
    '| --- | --- |',
    ...program.commands.map(
      (command) =>
        `| [\`${command.name()}\`](#${command.name()}) | ${command.description().replaceAll('|', '\\|')} |`,
    ),
    ...program.commands.flatMap((command) => section(command, 2)),
    '',
  ].join('\n');
}

function section(command: Command, level: number): string[] {
  return [
    '',
    `${'#'.repeat(level)} ${nameOf(command)}`,
    '',
    '```text',
    help(command),
    '```',
    ...command.commands.flatMap((inner) => section(inner, level + 1)),
  ];
}

/** `connect add`: the name with those of the commands that hold it, but for the program's. */
function nameOf(command: Command): string {
  const outer = command.parent;
  return outer === null || outer.parent === null ? command.name() : `${nameOf(outer)} ${command.name()}`;
}

/** Printed with a fixed width and without colours, so that the page is the same on every terminal. */
function help(command: Command): string {
  let printed = '';
  command
    .configureOutput({
      writeOut: (part) => (printed += part),
      getOutHelpWidth: () => 110,
      getOutHasColors: () => false,
    })
    .outputHelp();
  return printed.trim().replaceAll(/ +$/gm, '');
}
