import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addToBucket,
  bucketOf,
  emptyBuckets,
  type BucketTable,
} from '../../../../src/dict/compare/buckets.ts';
import type { LocalCids } from '../../../../src/dict/compare/compare.ts';
import { afterAll, beforeAll } from 'vitest';

/** A CID, in hex, as random as real ones are: the comparison relies on that. */
export const cidOf = (n: number | string) => createHash('sha256').update(String(n)).digest('hex');

export const sha256Of = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

export function bucketsOf(cids: Iterable<string>): BucketTable {
  const table = emptyBuckets();
  for (const hex of cids) {
    const cid = Buffer.from(hex, 'hex');
    addToBucket(table, bucketOf(cid), 1, cid);
  }
  return table;
}

/** The local side from a set in memory, yielding `batch` CIDs per buffer. `listed` keeps what was asked for. */
export function localCids(cids: Set<string>, batch: number): LocalCids & { listed: number[][] } {
  const listed: number[][] = [];
  return {
    listed,
    buckets: () => Promise.resolve(bucketsOf(cids)),
    async *list(buckets) {
      listed.push(buckets);
      const asked = new Set(buckets);
      const sorted = [...cids].filter((hex) => asked.has(Number.parseInt(hex.slice(0, 3), 16))).sort();
      for (let at = 0; at < sorted.length; at += batch) {
        yield Buffer.from(sorted.slice(at, at + batch).join(''), 'hex');
        await Promise.resolve();
      }
    },
  };
}

/** A folder for the file's tests, removed at their end. */
export function temporaryFolder(): {
  path: string;
  write: (name: string, content: string | Buffer) => Promise<string>;
} {
  const folder = { path: '', write };
  async function write(name: string, content: string | Buffer): Promise<string> {
    const path = join(folder.path, name);
    await writeFile(path, content);
    return path;
  }
  beforeAll(async () => {
    folder.path = await mkdtemp(join(tmpdir(), 'dict-vsync-cids-'));
  });
  afterAll(() => rm(folder.path, { recursive: true, force: true }));
  return folder;
}
