import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { schemaText } from './schema.ts';
import { NO_PG_DUMP } from './system-postgres.ts';

// `npm run db:dump`
if (NO_PG_DUMP !== undefined) throw new Error(NO_PG_DUMP);
await writeFile(fileURLToPath(new URL('../../schema.sql', import.meta.url)), await schemaText());
