import type { Command } from '../../src/cli/program.ts';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { loadEntries, writeCidFile } from '../support/entries.ts';
import { count, counts } from '../support/flags.ts';
import { startDatabase } from '../support/postgres.ts';
import { writeRandomCidFile } from '../support/random-cids.ts';
import { against, alone, faster, type Row } from '../support/rows.ts';
import { bundleOurs, Contest, type Case } from './contest.ts';

interface Options {
  lines: number;
  different: number;
  memoryLines: number[];
  rounds: number;
  slowRounds: number;
}

/** The types that have the large base and the one compared with a completely different file. */
const LARGE: KeyType = 'CPF';
const OTHER: KeyType = 'PHONE';
const FEW_DIFFERENCES = 50;
/** The maximum size of V8's Set. */
const LARGEST_SET = 2 ** 24;

/** `bench compare`: the comparison of a CID file with the local base. */
export function compare(): Command {
  return benchmark<Options>(
    'compare',
    'Compares a CID file with the local base, against sha256sum of the file, COPY and two anti-joins, and a JavaScript Set.',
    (command) =>
      command
        .option('--lines <N>', 'CIDs per side, with 0 and 50 differences', count(100), 10_000_000)
        .option('--different <N>', 'CIDs per side when every one differs', count(1), 5_000_000)
        .option(
          '--memory-lines <N,N…>',
          'sizes of completely different files; measures the memory of comparing each with the large base',
          counts(1),
          [1_000_000, 5_000_000, 20_000_000],
        )
        .option('--rounds <N>', 'rounds against sha256sum', count(1), 5)
        .option('--slow-rounds <N>', 'rounds against the anti-joins and the Set', count(1), 2),
    measure,
  );
}

async function measure(options: Options, { directory, resources, say }: Bench): Promise<Findings> {
  const { lines, different, memoryLines, rounds, slowRounds } = options;
  const database = await startDatabase(directory, resources);
  say(`loading ${lines + different} entries`);
  await loadEntries(database.pool, { [LARGE]: lines, [OTHER]: different });
  say('writing the CID files');
  const file = (name: string) => join(directory, `${name}.cids`);
  const same: Case = { path: file('same'), keyType: LARGE, dictOnly: 0, localOnly: 0 };
  const half = FEW_DIFFERENCES / 2;
  const few: Case = { path: file('few'), keyType: LARGE, dictOnly: half, localOnly: half };
  const all: Case = { path: file('all'), keyType: OTHER, dictOnly: different, localOnly: different };
  await writeCidFile(database.pool, { keyType: LARGE, entries: lines }, 0, same.path);
  await writeCidFile(database.pool, { keyType: LARGE, entries: lines }, FEW_DIFFERENCES, few.path);
  await writeRandomCidFile(all.path, different, 1);

  const warmUp = new Contest(database, directory, await bundleOurs(directory));
  for (const one of [same, few]) await warmUp.ours(one);
  const contest = warmUp.next();
  for (let round = 1; round <= rounds; round++) {
    say(`against sha256sum, round ${round} of ${rounds}`);
    for (const one of [same, few]) {
      await contest.ours(one);
      await contest.sha256sum(one);
      await contest.openssl(one);
    }
  }
  const slow = contest.next();
  for (let round = 1; round <= slowRounds; round++) {
    say(`against anti-joins and a Set, round ${round} of ${slowRounds}`);
    for (const one of [few, all]) {
      await slow.ours(one);
      await slow.antiJoins(one);
    }
    if (lines <= LARGEST_SET) await slow.set(few);
  }
  const memory: Row[] = [];
  const peaks: number[] = [];
  for (const size of memoryLines) {
    say(`memory with a file of ${size} lines`);
    const one: Case = { path: file(`memory-${size}`), keyType: LARGE, dictOnly: size, localOnly: lines };
    await writeRandomCidFile(one.path, size, 2);
    const { peakMb } = await contest.ours(one);
    peaks.push(peakMb);
    memory.push(
      alone({ what: `memory, ${size} lines, every CID different`, unit: 'MB', ours: [peakMb] }, MOST_MB),
    );
    await rm(one.path);
  }
  return {
    sizes: { lines, different, memoryLines: memoryLines.join(), rounds, slowRounds },
    database,
    rows: [
      ...quick(contest, same, '0 differences'),
      ...quick(contest, few, `${FEW_DIFFERENCES} differences`),
      faster(slow.times(few, 'antiJoins', `${FEW_DIFFERENCES} differences`, 'COPY + anti-joins'), 20),
      ...(lines <= LARGEST_SET
        ? [faster(slow.times(few, 'set', `${FEW_DIFFERENCES} differences`, 'a Set of lines'))]
        : []),
      against(slow.times(all, 'antiJoins', `all ${different} different`, 'COPY + anti-joins'), { most: 3 }),
      alone(
        { what: `memory, ${lines} lines, 0 differences`, unit: 'MB', ours: contest.peaks(same, 'ours') },
        MOST_MB,
      ),
      alone(
        {
          what: `memory, ${lines} lines, ${FEW_DIFFERENCES} differences`,
          unit: 'MB',
          ours: contest.peaks(few, 'ours'),
        },
        MOST_MB,
      ),
      ...(lines <= LARGEST_SET
        ? [alone({ what: `memory, a Set of ${lines} lines`, unit: 'MB', ours: slow.peaks(few, 'set') })]
        : []),
      ...memory,
      against(
        {
          what: 'memory, largest file against smallest',
          unit: 'MB',
          ours: peaks.slice(-1),
          against: 'smallest',
          theirs: peaks.slice(0, 1),
        },
        { most: FLAT },
      ),
    ],
    notes: NOTES,
  };
}

const MOST_MB = 300;
const FLAT = 1.25;

const NOTES = [
  'Ours: a process of its own, bundled as it is shipped, from its start to its end: the file is read and hashed in two threads, buckets and CIDs from dict.entries in one snapshot.',
  'COPY + anti-joins: into an unlogged table, analyzed, one count in each direction over dict.entries; work_mem as above. Ours counts in the same manner.',
  'For all of them the files are in the page cache.',
];

function quick(contest: Contest, one: Case, what: string): Row[] {
  return [
    against(contest.times(one, 'sha256sum', what, 'sha256sum'), { most: 1.2 }),
    against(contest.times(one, 'openssl', what, 'openssl dgst -sha256')),
  ].filter((row) => row.runs.theirs.length > 0);
}
