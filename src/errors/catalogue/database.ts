import type { Section } from './section.ts';

export const DATABASE = {
  title: 'Database',
  errors: {
    DV_DATABASE_URL_INVALID: {
      class: 'not_retryable',
      exit: 2,
      where: 'When connecting.',
      meaning: 'The database URL cannot be read.',
      remedy: 'Write `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with special characters percent-encoded.',
    },
    DV_DATABASE_UNREACHABLE: {
      class: 'retryable',
      exit: 1,
      where: 'Everywhere.',
      meaning:
        'Postgres cannot be used: the connection was refused or lost, no connection was free, Postgres did not answer in time, or it is read-only. For one hour this uses up no attempt of a step. A worker that starts waits for Postgres. The error is not retryable where waiting does not help: the database does not exist, or TLS cannot be established.',
      remedy: 'Check that Postgres is running. Check the URL and the network.',
    },
    DV_DATABASE_FORBIDDEN: {
      class: 'not_retryable',
      exit: 2,
      where: 'When connecting or migrating.',
      meaning:
        'The user or the password is wrong, pg_hba.conf refuses the connection, or a privilege is missing.',
      remedy: 'Grant the privilege that the message names, or migrate once as the owner.',
    },
    DV_DATABASE: {
      class: 'retryable',
      exit: 1,
      where: 'Everywhere.',
      meaning: 'Postgres refused a statement. The message contains the SQLSTATE.',
      remedy:
        'Conflicts between transactions (40001, 40P01) are retried without your help. For any other SQLSTATE, look it up in the manual of Postgres.',
    },
    DV_DATABASE_NOT_MIGRATED: {
      class: 'not_retryable',
      exit: 2,
      where: 'On the command line.',
      meaning: 'The database has not been migrated: its tables are missing.',
      remedy: 'Run `dict-vsync migrate`.',
    },
    DV_DATABASE_NOT_UTF8: {
      class: 'not_retryable',
      exit: 2,
      where: 'When migrating.',
      meaning: 'The encoding of this database cannot store all names that DICT has.',
      remedy: 'Create a database with the encoding UTF8.',
    },
    DV_DATABASE_NEWER: {
      class: 'not_retryable',
      exit: 2,
      where:
        'When migrating, or when a function of the database raises a code that this version does not know.',
      meaning: 'A newer dict-vsync or a newer Graphile Worker migrated this database.',
      remedy: 'Use that version or a newer one.',
    },
    DV_POSTGRES_TOO_OLD: {
      class: 'not_retryable',
      exit: 2,
      where: 'When migrating.',
      meaning: 'Postgres is older than version 15.',
      remedy: 'Upgrade the server.',
    },
    DV_MIGRATION_EDITED: {
      class: 'not_retryable',
      exit: 1,
      where: 'When migrating.',
      meaning: 'A migration of this release differs from the one that was applied.',
      remedy: 'Use an unchanged release.',
    },
    DV_MIGRATION_ORDER: {
      class: 'not_retryable',
      exit: 1,
      where: 'When migrating.',
      meaning: 'An earlier migration was never applied.',
      remedy: 'Use a release that is at least as new as the database.',
    },
    DV_MIGRATION_FAILED: {
      class: 'not_retryable',
      exit: 1,
      where: 'When migrating.',
      meaning:
        'A migration failed and was rolled back completely. The error is retryable if a lock could not be taken in time or a deadlock was broken.',
      remedy: 'Look up the SQLSTATE, and report it.',
    },
    DV_EMBEDDED_POSTGRES_MISSING: {
      class: 'not_retryable',
      exit: 2,
      where: 'In commands without DATABASE_URL.',
      meaning: 'No embedded Postgres is installed. The single executable does not contain one.',
      remedy: 'Set DATABASE_URL or give `--database`.',
    },
    DV_EMBEDDED_POSTGRES_FAILED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In commands without DATABASE_URL.',
      meaning:
        'The embedded Postgres does not start or does not stop. The message contains the last lines of its log. The error is retryable only while another command is starting or stopping it.',
      remedy: 'Correct what the lines of the log report, or set DATABASE_URL.',
    },
  },
} as const satisfies Section;
