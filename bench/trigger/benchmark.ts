import type { Command } from '../../src/cli/program.ts';
import { join } from 'node:path';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { count } from '../support/flags.ts';
import { CONNECTIONS, startDatabase } from '../support/postgres.ts';
import { against, alone, type Row } from '../support/rows.ts';
import { bulkInserts } from './bulk.ts';
import { LOCK_WAIT_SETTINGS, lockWaits, LOGGED_WAIT_MS } from './lock-waits.ts';
import { singleWrites, WRITES } from './single.ts';
import { type Both, fillBoth, OURS, PLAIN, TABLES } from './tables.ts';
import { writersBesideImport, type WritersRun } from './writers.ts';

interface Options {
  entries: number;
  block: number;
  blocks: number;
  bulk: number;
  rounds: number;
  writers: number;
  writerKeys: number;
}

const KEYS_PER_WRITER = 10_000;
/** The available connections, except those of the import, the fold and one spare. */
const MOST_WRITERS = CONNECTIONS - 3;

/** `bench trigger`: what the triggers on the key base cost the writers of keys. */
export function trigger(): Command {
  return benchmark<Options>(
    'trigger',
    'Writes keys with our triggers (VSync deltas, CID log) and to the same table without them.',
    (command) =>
      command
        .option('--entries <N>', 'entries in the table', count(KEYS_PER_WRITER), 1_000_000)
        .option('--block <N>', 'single writes per block', count(10), 200)
        .option('--blocks <N>', 'blocks per kind of write and table', count(1), 15)
        .option(
          '--bulk <N>',
          'rows of a bulk insert, and of the import beside the writers',
          count(1),
          1_000_000,
        )
        .option('--rounds <N>', 'rounds of bulk inserts, and of writers beside an import', count(1), 3)
        .option('--writers <N>', 'simultaneous writers', count(1, MOST_WRITERS), 8)
        .option('--writer-keys <N>', 'keys that a writer changes per transaction', count(1), 20),
    measure,
  );
}

async function measure(options: Options, { directory, resources, say }: Bench): Promise<Findings> {
  const { entries, block, blocks, bulk, rounds } = options;
  const database = await startDatabase(directory, resources, LOCK_WAIT_SETTINGS);
  const { pool } = database;
  say(`loading ${entries} entries twice`);
  await fillBoth(pool, entries);
  say('single writes');
  const single = await singleWrites(pool, { entries, block, rounds: blocks });
  const runs = await writers();
  say('bulk inserts');
  const bulks = await bulkInserts(pool, { rows: bulk, rounds }, join(directory, 'stage.copy'));

  async function writers(): Promise<Record<(typeof TABLES)[number], WritersRun[]>> {
    const all: Record<(typeof TABLES)[number], WritersRun[]> = { [OURS]: [], [PLAIN]: [] };
    for (let round = 0; round < rounds; round++) {
      say(`writers beside an import, round ${round + 1} of ${rounds}`);
      for (const table of round % 2 === 0 ? TABLES : TABLES.toReversed()) {
        await pool.query('checkpoint');
        all[table].push(
          await writersBesideImport(pool, table, {
            writers: options.writers,
            keysPerTransaction: options.writerKeys,
            keysPerWriter: Math.min(KEYS_PER_WRITER, Math.floor(entries / options.writers)),
            importRows: bulk,
            importFrom: entries + block + 1 + round * bulk,
          }),
        );
      }
    }
    return all;
  }

  const waits = await lockWaits(
    directory,
    runs[OURS].flatMap((run) => run.writers),
  );
  const plainWaits = await lockWaits(
    directory,
    runs[PLAIN].flatMap((run) => run.writers),
  );
  const of = (pick: (run: WritersRun) => number): Both => ({
    [OURS]: runs[OURS].map(pick),
    [PLAIN]: runs[PLAIN].map(pick),
  });
  const sum = (numbers: number[]) => [numbers.reduce((a, b) => a + b, 0)];
  const crowd = `${options.writers} writers beside an import`;
  return {
    sizes: { ...options },
    database,
    rows: [
      ...WRITES.map((write) => against(row(`single ${write}`, 'ms', single[write]), { most: 1.35 })),
      against(row(`insert of ${bulk} rows`, 's', bulks.insert), { most: 1.2 }),
      against(row(`COPY of ${bulk} rows`, 's', bulks.copy), { most: 1.2 }),
      against(
        row(
          `${crowd}: transactions`,
          '/s',
          of((run) => run.transactionsPerSecond),
        ),
        { least: 0.7 },
      ),
      against(
        row(
          'the import meanwhile',
          's',
          of((run) => run.importSeconds),
        ),
      ),
      alone({ what: `${crowd}: deadlocks`, unit: '', ours: sum(runs[OURS].map((run) => run.deadlocks)) }, 0),
      alone(
        { what: `waits for another's commit, ≥ ${LOGGED_WAIT_MS} ms`, unit: '', ours: [waits.forOthers] },
        0,
      ),
      alone({ what: `the same without triggers`, unit: '', ours: [plainWaits.forOthers] }),
      alone({ what: `waits for space in a table, ≥ ${LOGGED_WAIT_MS} ms`, unit: '', ours: [waits.forSpace] }),
    ],
    notes: [
      `Without: the same table (generated CID, indexes, checks), no triggers. Single writes: one connection, autocommit, durable; figures are medians of blocks of ${block}. Bulk: into the empty table.`,
      `Writers: transactions of ${options.writerKeys} updates in random order, each writer among ${KEYS_PER_WRITER} keys of its own, while one transaction imports; dict.fold_vsync_deltas runs all the while. The server logs each wait for a lock of ${LOGGED_WAIT_MS} ms and more.`,
    ],
  };
}

function row(what: string, unit: Row['unit'], both: Both) {
  return { what, unit, ours: both[OURS], against: 'without triggers', theirs: both[PLAIN] };
}
