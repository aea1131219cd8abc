import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { to as copyTo } from 'pg-copy-streams';
import { createPool } from '../../src/database/pool.ts';
import { peakMemoryMb, scriptInput, printAnswer } from '../support/child.ts';
import { PARTICIPANT } from '../support/entries.ts';
import type { CompareAnswer, CompareInput } from './ours.ts';

/** The obvious program: the file's lines in a Set, the local CIDs streamed past it. A Set has room for 2^24 lines. */
async function main({ url, keyType, path }: CompareInput): Promise<CompareAnswer> {
  const lines = new Set<string>();
  for await (const line of createInterface({ input: createReadStream(path) })) lines.add(line);
  const pool = createPool(url, { max: 1 });
  const client = await pool.connect();
  const local = client.query(
    copyTo(`copy (select encode(cid, 'hex') from dict.entries
      where participant = '${PARTICIPANT}' and key_type = '${keyType}' and removed_at is null) to stdout`),
  );
  let localOnly = 0;
  for await (const cid of createInterface({ input: local })) if (!lines.delete(cid)) localOnly++;
  client.release();
  await pool.end();
  return { dictOnly: lines.size, localOnly, peakMb: peakMemoryMb() };
}

printAnswer(await main(scriptInput()));
