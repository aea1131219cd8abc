import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { FOLD_EVERY_MS, foldDeltas } from '../../src/dict/vsync/vsync-store.ts';
import { ENTRY_COLUMNS, madeEntries, PARTICIPANT } from '../support/entries.ts';
import { OURS, type Table } from './tables.ts';

/** The result of writers and import on one table. */
export interface WritersRun {
  /** Transactions of 20 changes each, during the import. */
  transactionsPerSecond: number;
  importSeconds: number;
  /** Process ids of the writers' connections. */
  writers: number[];
  deadlocks: number;
}

export interface WritersSizes {
  writers: number;
  keysPerTransaction: number;
  /** Each writer has keys of its own, so that no writer waits for another's row. */
  keysPerWriter: number;
  /** Rows of the import, numbered from `importFrom` on. */
  importRows: number;
  importFrom: number;
}

/**
 * Writers change keys in random order in transactions beside an import in one transaction, until it has committed. On
 * our table the fold runs too, as it does in the service.
 */
export async function writersBesideImport(
  pool: Pool,
  table: Table,
  sizes: WritersSizes,
): Promise<WritersRun> {
  const over = new AbortController();
  const writers: number[] = [];
  const before = await deadlocks(pool);
  let transactions = 0;
  const working = Array.from({ length: sizes.writers }, async (_, writer) =>
    write(pool, table, writer, sizes, {
      over: over.signal,
      started: (process) => writers.push(process),
      committed: () => transactions++,
    }),
  );
  const folding = table === OURS ? fold(pool, over.signal) : Promise.resolve();
  const { importFrom, importRows } = sizes;
  const began = performance.now();
  await pool.query(
    `insert into ${table} (${ENTRY_COLUMNS}) ${madeEntries('CPF', importFrom, importFrom + importRows - 1)}`,
  );
  const importSeconds = (performance.now() - began) / 1000;
  const transactionsPerSecond = transactions / importSeconds;
  over.abort();
  await Promise.all([...working, folding]);
  return {
    transactionsPerSecond,
    importSeconds,
    writers,
    deadlocks: (await deadlocks(pool)) - before,
  };
}

async function write(
  pool: Pool,
  table: Table,
  writer: number,
  { keysPerTransaction, keysPerWriter }: WritersSizes,
  hooks: { over: AbortSignal; started: (process: number) => void; committed: () => void },
): Promise<void> {
  const client = await pool.connect();
  try {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    hooks.started(rows[0]!.pid);
    while (!hooks.over.aborted) {
      await client.query('begin');
      for (let i = 0; i < keysPerTransaction; i++) {
        const key = 1 + writer * keysPerWriter + Math.floor(Math.random() * keysPerWriter);
        await client.query({
          name: `write ${table}`,
          text: `update ${table} set account_number = $2 where participant = '${PARTICIPANT}' and key_type = 'CPF' and key = $1`,
          values: [String(key).padStart(11, '0'), String(Math.floor(Math.random() * 1e9)).padStart(10, '0')],
        });
      }
      await client.query('commit');
      hooks.committed();
    }
  } finally {
    client.release();
  }
}

async function fold(pool: Pool, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await foldDeltas(pool);
    await delay(FOLD_EVERY_MS);
  }
}

async function deadlocks(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ deadlocks: string }>(
    `select pg_stat_force_next_flush(), deadlocks from pg_stat_database where datname = current_database()`,
  );
  return Number(rows[0]?.deadlocks);
}
