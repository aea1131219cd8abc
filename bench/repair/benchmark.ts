import type { Command } from '../../src/cli/program.ts';
import { KEY_TYPES, type KeyType } from '../../src/dict/entry/key-type.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { count } from '../support/flags.ts';
import { alone, type Row } from '../support/rows.ts';
import { completed, foundDivergences, reconcile, secondsIn, serve, startSystem } from '../support/system.ts';
import { decided, startWorkerProcess } from './killed-worker.ts';

interface Options {
  divergences: number;
  rounds: number;
  many: number;
}

/** The size of the CIDS_ENTRIES_READ bucket, available immediately (DICT API 2.6.1). */
const BUCKET = 36_000;

/** `bench repair`: the application of divergences that were found. */
export function repair(): Command {
  return benchmark<Options>(
    'repair',
    'Applies divergences through the whole service: with a DICT without limits, and within its bucket with a crash in between.',
    (command) =>
      command
        .option('--divergences <N>', 'divergent CIDs, DICT without limits', count(4), 1000)
        .option('--rounds <N>', 'repetitions, each with another key type (at most 5)', count(1), 3)
        .option('--many <N>', "divergent CIDs within DICT's bucket; 0 leaves it out", count(0), BUCKET),
    measure,
  );
}

async function measure(options: Options, bench: Bench): Promise<Findings> {
  const { divergences, rounds, many } = options;
  const keyTypes = KEY_TYPES.slice(0, rounds);
  const quick = await unlimited(divergences, keyTypes, bench);
  const limited = many === 0 ? [] : await withinLimits(many, bench);
  return {
    sizes: { divergences, rounds: keyTypes.length, many },
    database: quick.database,
    rows: [...quick.rows, ...limited],
    notes: [
      'A quarter of the CIDs are of keys that only DICT has, a quarter of keys that only we have, half of keys with other values (two CIDs each). Applied: from the first lookup at DICT until the last change is committed and published to Core-Dict.',
      `Killed: kill -9 of the worker when half is decided; another one takes over by itself.`,
    ],
  };
}

/** The number of keys of N divergent CIDs: a key with other values has two. */
function keysOf(cids: number): number {
  return Math.floor((cids * 3) / 4);
}

async function unlimited(
  divergences: number,
  keyTypes: readonly KeyType[],
  outer: Bench,
): Promise<Pick<Findings, 'database' | 'rows'>> {
  await using resources = new AsyncDisposableStack();
  const bench = { ...outer, resources, directory: `${outer.directory}/unlimited` };
  const divergent = keysOf(divergences);
  const system = await startSystem(bench, {
    keyTypes,
    keysPerType: divergent * 10,
    divergent,
    options: { limits: 'off', fileGenerationMs: 0 },
  });
  await serve(system, resources);
  const { pool } = system.database;
  const applied: number[] = [];
  const whole: number[] = [];
  for (const keyType of keyTypes) {
    bench.say(`${divergences} divergences of ${keyType}`);
    const run = await completed(pool, await reconcile(pool, keyType));
    await foundDivergences(system, run.id);
    applied.push(await secondsIn(pool, run.id, 'apply'));
    whole.push(run.seconds);
  }
  const rows = [
    alone({ what: `${divergences} divergences applied`, unit: 's', ours: applied }, 10),
    alone({ what: 'the whole reconciliation', unit: 's', ours: whole }),
  ];
  return { database: system.database, rows };
}

async function withinLimits(many: number, outer: Bench): Promise<Row[]> {
  await using resources = new AsyncDisposableStack();
  const bench = { ...outer, resources, directory: `${outer.directory}/limited` };
  const divergent = keysOf(many);
  const system = await startSystem(bench, {
    keyTypes: ['CPF'],
    keysPerType: divergent * 2,
    divergent,
    options: { limits: 'real', fileGenerationMs: 0 },
  });
  const { pool } = system.database;
  bench.say(`${many} divergences, one worker`);
  const first = await startWorkerProcess(system, resources);
  const run = await reconcile(pool, 'CPF');
  await decided(pool, run, many / 2);
  bench.say('killing the worker, starting another');
  await first.kill();
  await startWorkerProcess(system, resources);
  await completed(pool, run);
  await foundDivergences(system, run);
  const took = await secondsIn(pool, run, 'apply');
  const { lookups, limited } = await system.simulator.stop();
  return [
    alone({ what: `${many} divergences within DICT's bucket, worker killed once`, unit: 's', ours: [took] }),
    alone({ what: 'lookups at DICT for them', unit: '', ours: [lookups] }, BUCKET),
    alone({ what: 'calls that DICT refused for its limits', unit: '', ours: [limited] }, 0),
  ];
}
