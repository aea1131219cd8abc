import type { Command } from '../../src/cli/program.ts';
import type { Pool } from 'pg';
import { KEY_TYPES } from '../../src/dict/entry/key-type.ts';
import { DvError } from '../../src/errors/dv-error.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { PARTICIPANT } from '../support/entries.ts';
import { count } from '../support/flags.ts';
import { alone, type Row } from '../support/rows.ts';
import { completed, foundDivergences, secondsIn, serve, startSystem } from '../support/system.ts';

interface Options {
  keys: number;
  divergent: number;
}

/** The Manual de Tempos allows 36 hours; the procedure that ours replaces took at most this long. */
const VERIFICATION_SECONDS = 300;
const RECONCILIATION_SECONDS = 600;

/** `bench night`: what happens every night, from end to end. */
export function night(): Command {
  return benchmark<Options>(
    'night',
    'Five key types simultaneously: verification and reconciliations end to end, with DICT at its real speed and limits.',
    (command) =>
      command
        .option('--keys <N>', 'keys per type', count(4), 1_000_000)
        .option('--divergent <N>', 'divergent keys per type; 75 make 100 divergent CIDs', count(0), 75),
    measure,
  );
}

async function measure({ keys, divergent }: Options, bench: Bench): Promise<Findings> {
  if (divergent > keys) {
    throw new DvError(
      'DV_USAGE',
      `--divergent ${divergent} is more than --keys ${keys}: not more than all can differ.`,
    );
  }
  const system = await startSystem(bench, {
    keyTypes: KEY_TYPES,
    keysPerType: keys,
    divergent,
    options: { speed: 1, limits: 'real', fileGenerationMs: 10_000 },
  });
  const { pool } = system.database;
  await serve(system, bench.resources);
  bench.say('verification');
  const { rows } = await pool.query<{ id: string }>('select dict.start_verification($1) as id', [
    PARTICIPANT,
  ]);
  const verification = await completed(pool, rows[0]!.id);
  const reconciliations = await spawned(pool);
  const found: Row[] = [];
  const divergences: number[] = [];
  for (const { id, keyType } of reconciliations) {
    bench.say(`reconciliation of ${keyType}`);
    const run = await completed(pool, id);
    divergences.push(await foundDivergences(system, id));
    found.push(
      alone({ what: `reconciliation of ${keyType}`, unit: 's', ours: [run.seconds] }, RECONCILIATION_SECONDS),
      alone({ what: `  of it, comparing`, unit: 's', ours: [await secondsIn(pool, id, 'compare')] }),
      alone({ what: `  of it, applying`, unit: 's', ours: [await secondsIn(pool, id, 'apply')] }),
    );
  }
  const { limited } = await system.simulator.stop();
  return {
    sizes: { keys, divergent, divergences: divergences.join() },
    database: system.database,
    rows: [
      alone(
        { what: 'verification of five types', unit: 's', ours: [verification.seconds] },
        VERIFICATION_SECONDS,
      ),
      ...found,
      alone({ what: 'calls that DICT refused for its limits', unit: '', ours: [limited] }),
    ],
    notes: [
      "DICT: the simulator in a process of its own, BACEN's token buckets, 10 s per CID file. Reconciliations run at the same time, in one worker; each ends with DICT's OK. Default settings, but for the approval threshold.",
    ],
  };
}

/** The reconciliations that the verification started. */
async function spawned(pool: Pool): Promise<{ id: string; keyType: string }[]> {
  const { rows } = await pool.query<{ id: string; keyType: string }>(
    `select id, input ->> 'keyType' as "keyType" from workflow.runs where machine = 'reconciliation' order by 2`,
  );
  return rows;
}
