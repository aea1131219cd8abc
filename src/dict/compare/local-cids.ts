import type { Pool, PoolClient } from 'pg';
import { BUCKETS, emptyBuckets, type BucketTable } from './buckets.ts';
import type { LocalCids } from './compare.ts';
import { CID_BYTES } from '../entry/cid.ts';
import type { KeyType } from '../entry/key-type.ts';

/** CIDs of one range fetched at a time, with any number of entries: 640 kB. */
const PAGE = 20_000;
/** Approximate number of CIDs of several small ranges fetched at a time: 4 MB. */
const ASKED = 131_072;
/** Maximum number of ranges fetched at a time: even if their counts are wrong, they are at most 40 MB. */
const MOST_RANGES = 64;

/**
 * The local side of a comparison: buckets and CIDs of one participant and key type, read in one REPEATABLE READ
 * snapshot that lasts as long as `work`. The snapshot is taken and the buckets are read immediately, so that `work` can
 * scan the file meanwhile. Call it when the file is available. It does not matter whether this snapshot is older or
 * newer than the scan: the round's own snapshot was taken before the file was requested, and all that changed since
 * then is judged as in flight.
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
    const reading = readBuckets(client, participant, keyType);
    // If `work` fails first, nobody awaits the buckets.
    reading.catch(() => undefined);
    const result = await work({
      buckets: () => reading,
      list: async function* (buckets) {
        yield* listCids(client, participant, keyType, ranges(buckets, await reading));
      },
    });
    await reading;
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    // The connection is destroyed and not returned to the pool, because a listing may have been interrupted.
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
  all: readonly Range[],
): AsyncGenerator<Buffer, void, undefined> {
  let left = all;
  while (left.length > 0) {
    const asked = left.slice(0, rangesPerQuery(left));
    const { rows } = await client.query<{ page: Buffer | null }>(
      `select (select string_agg(cid, ''::bytea order by cid) from (
         select cid from dict.entries
         where participant = $1 and key_type = $2 and removed_at is null and cid > lower and cid < upper
         order by cid limit $5) p) as page
       from unnest($3::bytea[], $4::bytea[]) with ordinality as range (lower, upper, n) order by n`,
      [participant, keyType, asked.map(({ lower }) => lower), asked.map(({ upper }) => upper), PAGE],
    );
    for (const [i, { page }] of rows.entries()) {
      const isFull = page?.length === PAGE * CID_BYTES;
      left = beyond(left, isFull ? page.subarray(-CID_BYTES) : asked[i]!.upper);
      if (page !== null) yield page;
      if (isFull) break;
    }
  }
}

/** CIDs above `lower` and below `upper`, about `count` of them. */
interface Range {
  lower: Buffer;
  upper: Buffer;
  count: number;
}

/** The CIDs of the buckets as ranges; neighbouring buckets form one range. */
function ranges(buckets: readonly number[], { counts }: BucketTable): Range[] {
  const found: Range[] = [];
  for (const [i, bucket] of buckets.entries()) {
    const count = counts[bucket]!;
    const upper = lowerBound(bucket + 1);
    const last = found.at(-1);
    if (last !== undefined && buckets[i - 1] === bucket - 1) {
      last.upper = upper;
      last.count += count;
    } else found.push({ lower: lowerBound(bucket), upper, count });
  }
  return found;
}

/**
 * How many ranges to fetch in one query, because round trips are most of a listing's time. A range that needs several
 * pages is the last one of its query.
 */
function rangesPerQuery(left: readonly Range[]): number {
  let asked = 0;
  const last = left.findIndex(({ count }) => {
    asked += Math.max(count, ASKED / MOST_RANGES);
    return count >= PAGE || asked >= ASKED;
  });
  return last < 0 ? left.length : last + 1;
}

/** The part of the ranges that is above the bound. */
function beyond(left: readonly Range[], bound: Buffer): Range[] {
  return left
    .filter(({ upper }) => bound.compare(upper) < 0)
    .map((range) => (bound.compare(range.lower) > 0 ? { ...range, lower: bound } : range));
}

/**
 * Below every CID of the bucket and above every CID before it: only its 12 bits; after the last bucket, 33 bytes of
 * ones.
 */
function lowerBound(bucket: number): Buffer {
  return bucket === BUCKETS
    ? Buffer.alloc(CID_BYTES + 1, 0xff)
    : Buffer.from([bucket >> 4, (bucket & 0xf) << 4]);
}
