import type { Section } from './section.ts';

export const SETTINGS = {
  title: 'Settings and command line',
  errors: {
    DV_SETTINGS_INVALID: {
      class: 'not_retryable',
      exit: 2,
      where: 'At the start of every command.',
      meaning: 'A setting is missing or malformed, or two settings contradict each other.',
      remedy: 'Correct every setting that the message names. The message never quotes values.',
    },
    DV_USAGE: {
      class: 'not_retryable',
      exit: 2,
      where: 'On the command line.',
      meaning: 'The command or the flag is unknown, or the value of a flag is invalid.',
      remedy: "Read the command's `--help`.",
    },
    DV_NODE_TOO_OLD: {
      class: 'not_retryable',
      exit: 2,
      where: 'In the npm installation, at the start of every command.',
      meaning:
        'This Node is too old for dict-vsync, and the Node in the npm package `node` cannot be started.',
      remedy: 'Install the version that the message names or a newer one, or run `npm install` again.',
    },
    DV_CRONTAB_INVALID: {
      class: 'not_retryable',
      exit: 2,
      where: 'In the worker.',
      meaning:
        'A line of the crontab cannot be read, two lines have the same name, or the file does not exist.',
      remedy: 'Correct the line that the message names.',
    },
    DV_HTTP_PORT: {
      class: 'not_retryable',
      exit: 2,
      where: 'In the worker.',
      meaning: 'The worker cannot serve health and metrics on HTTP_HOST and HTTP_PORT.',
      remedy: 'Choose a free port (0 means any free port) and an address of this host.',
    },
    DV_NO_WORKER: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `start --wait` and the other commands that wait.',
      meaning: 'No worker is alive, so the run stays in the queue.',
      remedy: 'Start `dict-vsync worker`.',
    },
    DV_DEMO_DATABASE_NOT_EMPTY: {
      class: 'not_retryable',
      exit: 2,
      where: 'In `demo --database`.',
      meaning: 'The database already has tables. The demo never touches a database that is in use.',
      remedy: 'Name an empty database.',
    },
    DV_FILE_UNWRITABLE: {
      class: 'not_retryable',
      exit: 2,
      where: 'In `simulator`.',
      meaning: 'The file to export to cannot be written.',
      remedy: 'Check its path and its permissions.',
    },
    DV_PULSAR_UNAVAILABLE: {
      class: 'not_retryable',
      exit: 2,
      where: 'In `demo --pulsar`.',
      meaning: 'No Pulsar was named, and Pulsar cannot be started on this host.',
      remedy: 'Do what the message says, or name a Pulsar with `--pulsar URL` or NOTIFY_URL.',
    },
  },
} as const satisfies Section;
