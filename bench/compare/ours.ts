import { compareCids } from '../../src/dict/compare/compare.ts';
import { scanCidFileInThread } from '../../src/dict/compare/scan-thread.ts';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { withLocalCids } from '../../src/dict/compare/local-cids.ts';
import { createPool } from '../../src/database/pool.ts';
import { peakMemoryMb, scriptInput, printAnswer } from '../support/child.ts';
import { PARTICIPANT } from '../support/entries.ts';

/** The input of a comparing process. */
export interface CompareInput {
  url: string;
  keyType: KeyType;
  path: string;
  directory: string;
}

/** What it found and took. */
export interface CompareAnswer {
  dictOnly: number;
  localOnly: number;
  peakMb: number;
}

/** Compares as a reconciliation does, in a process of its own. */
async function main({ url, keyType, path, directory }: CompareInput): Promise<CompareAnswer> {
  const pool = createPool(url, { max: 1 });
  const { dictOnly, localOnly } = await withLocalCids(pool, PARTICIPANT, keyType, async (local) => {
    const scan = await scanCidFileInThread(path);
    return compareCids({ path, scan }, local, () => Promise.resolve(), { tempDir: directory });
  });
  await pool.end();
  return { dictOnly, localOnly, peakMb: peakMemoryMb() };
}

printAnswer(await main(scriptInput()));
