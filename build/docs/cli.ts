import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';
import type { Page } from './page.ts';

/** The `--help` of each command, in the order of the program's help. */
export const cliPage: Page = { file: 'docs/reference/cli.md', text };

function text(): string {
  const program = createProgram();
  return [
    '# Command line',
    '',
    '<!-- Generated from src/cli/commands by `npm run docs`. Change the text there. -->',
    '',
    'This page contains the text that `--help` prints for each command. `--json` prints exactly one JSON document on',
    'stdout, and logs go to stderr. Exit codes: 0 success, 1 the job failed, 2 wrong usage or configuration.',
    'Settings come from the environment: [settings.md](settings.md). Most of it can also be done in SQL: [sql.md](sql.md).',
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

/** The full name of a command without that of the program, for example `connect add`. */
function nameOf(command: Command): string {
  const outer = command.parent;
  return outer === null || outer.parent === null ? command.name() : `${nameOf(outer)} ${command.name()}`;
}

/** The help text with a fixed width and without colours, so that the page does not depend on the terminal. */
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
