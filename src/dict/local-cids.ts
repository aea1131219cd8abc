import type { Pool, PoolClient } from 'pg';
import { BUCKETS, emptyBuckets, type BucketTable } from './compare/buckets.ts';
import type { LocalCids } from './compare/compare.ts';
import { CID_BYTES } from './cid.ts';
import type { KeyType } from './key-type.ts';

/** CIDs fetched at a time: 640 kB, whatever the number of entries. */
const PAGE = 20_000;

/**
 * The local side of a comparison: buckets and CIDs of one participant and key type, read in one REPEATABLE READ
 * snapshot that lasts as long as `work`.
 */
export async function withLocalCids<T>(
  pool: Pool,
  participant: string,
  keyType: KeyType,
  work: (local: LocalCids) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const result = await work({
      buckets: async () => readBuckets(client, participant, keyType),
      list: (buckets) => listCids(client, participant, keyType, buckets),
    });
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    // Destroyed, not returned: a listing may be broken off in the middle.
    client.release(true);
    throw error;
  }
}

async function readBuckets(client: PoolClient, participant: string, keyType: KeyType): Promise<BucketTable> {
  const { rows } = await client.query<{ bucket: number; count: string; xor: string }>(
    `select bucket, sum(count) as count, bit_xor(xor)::text as xor from dict.vsync_parts
     where participant = $1 and key_type = $2 group by bucket`,
    [participant, keyType],
  );
  const table = emptyBuckets();
  for (const { bucket, count, xor } of rows) {
    table.counts[bucket] = Number(count);
    for (let byte = 0; byte < CID_BYTES; byte++) {
      table.xors[bucket * CID_BYTES + byte] = Number.parseInt(xor.slice(byte * 8, byte * 8 + 8), 2);
    }
  }
  return table;
}

async function* listCids(
  client: PoolClient,
  participant: string,
  keyType: KeyType,
  buckets: number[],
): AsyncIterable<Buffer> {
  for (const [first, last] of ranges(buckets)) {
    let from = lowerBound(first);
    const until = lowerBound(last + 1);
    for (;;) {
      const { rows } = await client.query<{ page: Buffer | null }>(
        `select string_agg(cid, ''::bytea order by cid) as page from (
           select cid from dict.entries
           where participant = $1 and key_type = $2 and removed_at is null and cid > $3 and cid < $4
           order by cid limit $5) p`,
        [participant, keyType, from, until, PAGE],
      );
      const page = rows[0]?.page;
      if (page === null || page === undefined) break;
      yield page;
      if (page.length < PAGE * CID_BYTES) break;
      from = page.subarray(page.length - CID_BYTES);
    }
  }
}

/** Neighbouring buckets as one range: most of a listing's time is round trips. */
function ranges(buckets: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const bucket of buckets) {
    const last = found.at(-1);
    if (last?.[1] === bucket - 1) last[1] = bucket;
    else found.push([bucket, bucket]);
  }
  return found;
}

/** Below every CID of the bucket and above every one before: its 12 bits alone; after the last, 33 bytes of ones. */
function lowerBound(bucket: number): Buffer {
  return bucket === BUCKETS
    ? Buffer.alloc(CID_BYTES + 1, 0xff)
    : Buffer.from([bucket >> 4, (bucket & 0xf) << 4]);
}
