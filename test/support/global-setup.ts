import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres, THROWAWAY_SETTINGS } from '../../src/database/embedded/embedded-postgres.ts';
import { migrate } from '../../src/database/migrate/migrate.ts';
import { servePulsar } from './pulsar/serve-pulsar.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgres: {
      /** A database of the server from which databases can be created and dropped. */
      url: string;
      /** The prefix of all databases of this test run. */
      prefix: string;
      /** The migrated database to copy. */
      template: string;
    };
    /** Where to ask for the Pulsar of all tests (test/support/pulsar/describe.ts). */
    pulsar: string;
  }
}

interface TestServer {
  url: string;
  stop(): Promise<void>;
}

/**
 * One Postgres for all test files: the one of TEST_DATABASE_URL, or one in a container (TEST_POSTGRES=docker),
 * or an embedded one. Its role must be allowed to create databases.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  const prefix = `dv_test_${randomBytes(4).toString('hex')}_`;
  const template = `${prefix}template`;
  const client = new pg.Client({ connectionString: server.url });
  const pulsar = await servePulsar();
  const teardown = async (): Promise<void> => {
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where starts_with(datname, $1)',
      [prefix],
    );
    for (const { datname } of rows) await client.query(`drop database ${datname} with (force)`);
    await client.end();
    await server.stop();
    await pulsar.stop();
  };
  await client.connect();
  try {
    await client.query(`create database ${template} template template0 encoding 'UTF8'`);
    const url = new URL(server.url);
    url.pathname = `/${template}`;
    await migrate(url.href);
  } catch (error) {
    await teardown();
    throw error;
  }
  project.provide('postgres', { url: server.url, prefix, template });
  project.provide('pulsar', pulsar.url);
  return teardown;
}

async function startServer(): Promise<TestServer> {
  const url = process.env['TEST_DATABASE_URL'];
  if (url !== undefined && url !== '') return { url, stop: async () => undefined };
  return process.env['TEST_POSTGRES'] === 'docker' ? startContainer() : startEmbedded();
}

async function startEmbedded(): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-test-'));
  const server = await startEmbeddedPostgres({ directory, settings: THROWAWAY_SETTINGS });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(directory, { recursive: true });
  };
  return { url: server.url, stop };
}

async function startContainer(): Promise<TestServer> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer('postgres:18')
    .withEnvironment({ POSTGRES_PASSWORD: 'test' })
    .withCommand([
      'postgres',
      ...Object.entries(THROWAWAY_SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ])
    .withExposedPorts(5432)
    // The image starts the server twice: the first time to set it up.
    .withWaitStrategy(Wait.forLogMessage('database system is ready to accept connections', 2))
    .start();
  const stop = async (): Promise<void> => {
    await container.stop();
  };
  return {
    url: `postgres://postgres:test@${container.getHost()}:${container.getMappedPort(5432)}/postgres`,
    stop,
  };
}
