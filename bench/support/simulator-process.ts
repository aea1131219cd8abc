import { once } from 'node:events';
import { createPool } from '../../src/database/pool.ts';
import { importEntries } from '../../src/dict/key-base/import.ts';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import {
  damage,
  generateKeyBase,
  type SimulatedDictOptions,
  startSimulator,
} from '../../src/simulator/index.ts';
import { scriptInput, printAnswer } from './child.ts';
import { PARTICIPANT } from './entries.ts';

/** The input of a simulator process. */
export interface SimulatorInput {
  /** Where the local base is imported. */
  url: string;
  keyTypes: readonly KeyType[];
  keysPerType: number;
  /** Keys of each type that differ locally: a third missing, a third extra, a third changed. */
  divergent: number;
  options: SimulatedDictOptions;
}

/** Its first answer, once DICT can be called and the local base is loaded. */
export interface SimulatorReady {
  address: string;
  /** CIDs that only one side has, by type; a changed key makes two. */
  divergentCids: Partial<Record<KeyType, number>>;
}

/** Its last answer: how often DICT was asked for an entry, and how often it refused because of its limits. */
export interface SimulatorCalls {
  lookups: number;
  limited: number;
}

/**
 * A simulated DICT in a process of its own, with the local base that belongs to it. It ends with its standard input.
 */
async function main({ url, keyTypes, keysPerType, divergent, options }: SimulatorInput): Promise<void> {
  const simulator = await startSimulator(options);
  const pool = createPool(url, { max: 1 });
  const divergentCids: SimulatorReady['divergentCids'] = {};
  for (const keyType of keyTypes) {
    // Type by type, so that memory contains at most one type's local base beside DICT's.
    const entries = [
      ...generateKeyBase({ participant: PARTICIPANT, keyTypes: [keyType], keysPerType, seed: 1 }),
    ];
    simulator.dict.directory.seed(entries);
    const { local, plan } = damage(entries, { perType: divergent, seed: 1 });
    await importEntries(pool, local);
    const { dictOnly, localOnly, changed } = plan[keyType];
    divergentCids[keyType] = dictOnly + localOnly + 2 * changed;
  }
  await pool.end();
  printAnswer({ address: simulator.address, divergentCids } satisfies SimulatorReady);
  process.stdin.resume();
  await once(process.stdin, 'end');
  const { ledger } = simulator.dict;
  await simulator.stop();
  printAnswer({
    lookups: ledger.count('getEntryByCid'),
    limited: ledger.calls().filter(({ status }) => status === 429).length,
  } satisfies SimulatorCalls);
}

await main(scriptInput());
