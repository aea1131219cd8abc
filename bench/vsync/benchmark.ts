import type { Command } from '../../src/cli/program.ts';
import type { Pool } from 'pg';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { readVSync } from '../../src/dict/vsync/vsync-store.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { loadEntries, PARTICIPANT } from '../support/entries.ts';
import { count } from '../support/flags.ts';
import { startDatabase } from '../support/postgres.ts';
import { against, alone, faster } from '../support/rows.ts';
import { seconds } from '../support/statistics.ts';

interface Options {
  entries: number;
  few: number;
  reads: number;
  rounds: number;
}

/** The types that have few entries and many. */
const FEW: KeyType = 'EMAIL';
const MANY: KeyType = 'CPF';

/** `bench vsync`: reading the kept VSync, against computing it from all CIDs. */
export function vsync(): Command {
  return benchmark<Options>(
    'vsync',
    'Reads the VSync at few and at many entries, against XORing all CIDs.',
    (command) =>
      command
        .option('--entries <N>', 'many', count(1), 10_000_000)
        .option('--few <N>', 'few', count(1), 10_000)
        .option('--reads <N>', 'reads per size', count(2), 200)
        .option('--rounds <N>', 'scans of all CIDs per size', count(1), 3),
    measure,
  );
}

async function measure(options: Options, { directory, resources, say }: Bench): Promise<Findings> {
  const { entries, few, reads, rounds } = options;
  const database = await startDatabase(directory, resources);
  const { pool } = database;
  say(`loading ${few} and ${entries} entries`);
  await loadEntries(pool, { [FEW]: few, [MANY]: entries });

  say('reading');
  const read = { few: [] as number[], many: [] as number[] };
  for (let i = -10; i < reads; i++) {
    const a = await timedRead(pool, FEW);
    const b = await timedRead(pool, MANY);
    if (i < 0) continue;
    read.few.push(a);
    read.many.push(b);
  }
  const scan = { few: [] as number[], many: [] as number[] };
  const after = { few: [] as number[], many: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    say(`scanning all CIDs, round ${round + 1} of ${rounds}`);
    for (const [size, keyType] of [
      ['few', FEW],
      ['many', MANY],
    ] as const) {
      scan[size].push(await timedScan(pool, keyType));
      after[size].push(await timedRead(pool, keyType));
    }
  }

  return {
    sizes: { few, entries, reads, rounds },
    database,
    rows: [
      alone({ what: `read at ${few} entries`, unit: 'ms', ours: read.few }, 5),
      alone({ what: `read at ${entries} entries`, unit: 'ms', ours: read.many }, 5),
      against(
        { what: 'the same time at both', unit: 'ms', ours: read.many, against: 'few', theirs: read.few },
        { most: 1.1 },
      ),
      faster({
        what: `at ${few} entries`,
        unit: 'ms',
        ours: after.few,
        against: 'all CIDs',
        theirs: scan.few,
      }),
      faster({
        what: `at ${entries} entries`,
        unit: 'ms',
        ours: after.many,
        against: 'all CIDs',
        theirs: scan.many,
      }),
    ],
    notes: [
      'All CIDs: one statement, bit_xor over the entries of the participant and key type, parallel if Postgres chooses so.',
    ],
  };
}

async function timedRead(pool: Pool, keyType: KeyType): Promise<number> {
  return 1000 * (await seconds(async () => readVSync(pool, PARTICIPANT, keyType)));
}

/** Milliseconds that one statement over all CIDs takes; its answer must equal the kept VSync. */
async function timedScan(pool: Pool, keyType: KeyType): Promise<number> {
  let scanned: string | undefined;
  const took = await seconds(async () => {
    const { rows } = await pool.query<{ vsync: string }>(
      `select dict.hex(bit_xor(dict.bits(cid))) as vsync from dict.entries
       where participant = $1 and key_type = $2 and removed_at is null`,
      [PARTICIPANT, keyType],
    );
    scanned = rows[0]?.vsync;
  });
  if (scanned !== (await readVSync(pool, PARTICIPANT, keyType)).vsync) throw new Error('The VSyncs differ.');
  return took * 1000;
}
