import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { schemaText } from '../../support/schema.ts';
import { NO_PG_DUMP, PG_DUMP_MAJOR } from '../../support/system-postgres.ts';

const committed = readFileSync(new URL('../../../schema.sql', import.meta.url), 'utf8');
const [, major] = /^-- pg_dump (\d+)/m.exec(committed) ?? [];
// Each major version writes some definitions in another form.
const unable =
  NO_PG_DUMP ?? (Number(major) === PG_DUMP_MAJOR ? undefined : `schema.sql is by pg_dump ${major}`);

test.skipIf(unable !== undefined)(
  `schema.sql is what migrating an empty database gives (npm run db:dump)${unable === undefined ? '' : `: ${unable}`}`,
  async () => {
    expect(await schemaText()).toBe(committed);
  },
);
