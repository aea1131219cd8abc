import type { Pool, PoolClient } from 'pg';
import { PARTICIPANT } from '../support/entries.ts';
import { median } from '../support/statistics.ts';
import { type Both, none, type Table, TABLES } from './tables.ts';

export const WRITES = ['update', 'insert', 'delete'] as const;
export type Write = (typeof WRITES)[number];

const SQL: Record<Write, (table: Table) => string> = {
  update: (table) =>
    `update ${table} set account_number = $2 where participant = '${PARTICIPANT}' and key_type = 'CPF' and key = $1`,
  insert: (table) =>
    `insert into ${table} (participant, key_type, key, request_id, owner_type, tax_id_number, name, branch, account_number, account_type)
     values ('${PARTICIPANT}', 'CPF', $1, gen_random_uuid(), 'NATURAL_PERSON', $1, 'José Antônio Pereira', '0001', $2, 'CACC')`,
  delete: (table) =>
    `delete from ${table} where participant = '${PARTICIPANT}' and key_type = 'CPF' and key = $1 and account_number = $2`,
};

/**
 * The latency of writing one row in a durable transaction of its own: medians of blocks, in ms. The two tables
 * alternate, block by block.
 */
export async function singleWrites(
  pool: Pool,
  sizes: { entries: number; block: number; rounds: number },
): Promise<Record<Write, Both>> {
  const { entries, block, rounds } = sizes;
  const medians = { update: none(), insert: none(), delete: none() };
  const client = await pool.connect();
  try {
    for (let round = -1; round < rounds; round++) {
      for (const write of WRITES) {
        // Which one goes first alternates.
        for (const table of round % 2 === 0 ? TABLES : TABLES.toReversed()) {
          const took = await writeBlock(client, write, table, { entries, block, round });
          if (round >= 0) medians[write][table].push(took);
        }
      }
      await client.query('select dict.fold_vsync_deltas()');
    }
  } finally {
    client.release();
  }
  return medians;
}

async function writeBlock(
  client: PoolClient,
  write: Write,
  table: Table,
  { entries, block, round }: { entries: number; block: number; round: number },
): Promise<number> {
  const name = `${write} ${table}`;
  const text = SQL[write](table);
  const took: number[] = [];
  for (let i = 0; i < block; i++) {
    // Updates are spread over the whole base; inserts come after it, and the inserted rows are the ones deleted.
    const place = write === 'update' ? spread((round + 1) * block + i, entries) : entries + 1 + i;
    const values = [String(place).padStart(11, '0'), String(round + 2).padStart(10, '0')];
    const began = performance.now();
    const { rowCount } = await client.query({ name, text, values });
    took.push(performance.now() - began);
    if (rowCount !== 1) throw new Error(`A ${write} changed ${rowCount} rows.`);
  }
  return median(took);
}

/** The i-th number of a pseudo-random walk through 1 … n. */
function spread(i: number, n: number): number {
  return 1 + ((i * 7_368_787) % n);
}
