import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Pool } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { ENTRY_COLUMNS, madeEntries } from '../support/entries.ts';
import { seconds } from '../support/statistics.ts';
import { type Both, emptyBoth, none, type Table, TABLES } from './tables.ts';

const STAGE = 'public.stage';

/** Seconds to write `rows` entries into the empty table by one INSERT … SELECT, and by one COPY. */
export async function bulkInserts(
  pool: Pool,
  sizes: { rows: number; rounds: number },
  path: string,
): Promise<{ insert: Both; copy: Both }> {
  await pool.query(
    `create unlogged table ${STAGE} (${ENTRY_COLUMNS.replaceAll(',', ' text,')} text);
     insert into ${STAGE} ${madeEntries('CPF', 1, sizes.rows)};
     analyze ${STAGE}`,
  );
  const took = { insert: none(), copy: none() };
  const client = await pool.connect();
  try {
    await pipeline(client.query(copyTo(`copy ${STAGE} to stdout`)), createWriteStream(path));
    const methods = {
      insert: async (table: Table) =>
        client.query(
          `insert into ${table} (${ENTRY_COLUMNS}) select ${ENTRY_COLUMNS.replace('request_id', 'request_id::uuid')} from ${STAGE}`,
        ),
      copy: async (table: Table) =>
        pipeline(
          createReadStream(path, { highWaterMark: 1 << 20 }),
          client.query(copyFrom(`copy ${table} (${ENTRY_COLUMNS}) from stdin`)),
        ),
    };
    for (let round = 0; round < sizes.rounds; round++) {
      for (const method of ['insert', 'copy'] as const) {
        for (const table of round % 2 === 0 ? TABLES : TABLES.toReversed()) {
          await emptyBoth(pool);
          took[method][table].push(await seconds(async () => methods[method](table)));
        }
      }
    }
  } finally {
    client.release();
  }
  return took;
}
