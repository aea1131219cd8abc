import { shippedFunctions } from '../../src/database/migrate/apply-functions.ts';
import { migrate } from '../../src/database/migrate/migrate.ts';
import { dumpDefinitions, PG_DUMP_MAJOR, startCluster } from './system-postgres.ts';

/** `schema.sql`: what migrating an empty database gives, as this machine's pg_dump writes it. */
export async function schemaText(): Promise<string> {
  const cluster = await startCluster();
  try {
    await migrate(cluster.url);
    return `${head()}\n${dumpDefinitions(cluster.url)}`;
  } finally {
    await cluster.stop();
  }
}

function head(): string {
  return [
    '-- What migrating an empty database gives, for reading and for review: made by `npm run db:dump`, used by no program.',
    '-- The texts that make it are in migrations/ and src/**/sql/.',
    `-- pg_dump ${PG_DUMP_MAJOR}, functions number ${shippedFunctions().number}.`,
    '',
  ].join('\n');
}
