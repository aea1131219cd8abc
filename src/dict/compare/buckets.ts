import { CID_BYTES } from '../entry/cid.ts';
import { VSync } from '../vsync/vsync.ts';

/** The number of buckets of a CID set. A CID's bucket is its first 12 bits. */
export const BUCKETS = 4096;

/** Count and XOR of the CIDs of each bucket. Plain data, which can be passed between threads. */
export interface BucketTable {
  /** CIDs per bucket. Signed, so that deltas may be added in any order. */
  counts: Int32Array<ArrayBuffer>;
  /** 32 bytes per bucket, in the CID's own byte order. */
  xors: Uint8Array<ArrayBuffer>;
}

/** The table of the empty set. */
export function emptyBuckets(): BucketTable {
  return { counts: new Int32Array(BUCKETS), xors: new Uint8Array(BUCKETS * CID_BYTES) };
}

/** The bucket, 0 to 4,095, of a CID's 32 bytes. */
export function bucketOf(cid: Uint8Array): number {
  return (cid[0]! << 4) | (cid[1]! >> 4);
}

/** Adds to one bucket a count (negative when CIDs were removed) and the XOR of the CIDs added and removed. */
export function addToBucket(table: BucketTable, bucket: number, count: number, xor: Uint8Array): void {
  table.counts[bucket]! += count;
  const at = bucket * CID_BYTES;
  for (let i = 0; i < CID_BYTES; i++) table.xors[at + i]! ^= xor[i]!;
}

/** The number of CIDs in the table. */
export function cidCount(table: BucketTable): number {
  return table.counts.reduce((sum, count) => sum + count, 0);
}

/** The VSync of all buckets together. */
export function vsyncOf(table: BucketTable): VSync {
  const vsync = VSync.empty();
  for (let at = 0; at < table.xors.length; at += CID_BYTES)
    vsync.xor(table.xors.subarray(at, at + CID_BYTES));
  return vsync;
}

/**
 * The buckets whose count or XOR differ, ascending. The others contain the same CIDs, unless different CIDs XOR to the
 * same 256 bits; the VSync itself depends on the same chance.
 */
export function differingBuckets(a: BucketTable, b: BucketTable): number[] {
  const differing: number[] = [];
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (a.counts[bucket] !== b.counts[bucket] || !sameXor(a, b, bucket)) differing.push(bucket);
  }
  return differing;
}

function sameXor(a: BucketTable, b: BucketTable, bucket: number): boolean {
  const end = (bucket + 1) * CID_BYTES;
  for (let i = bucket * CID_BYTES; i < end; i++) if (a.xors[i] !== b.xors[i]) return false;
  return true;
}

/**
 * The smallest number of divergences that a comparison can find, from the counts alone. So a hopeless repair is refused
 * before 100 million rows are written. A CID that is twice in the file adds one to it; only the comparison finds that.
 */
export function minimumDivergence(scan: { buckets: BucketTable }, local: BucketTable): number {
  const counts = scan.buckets.counts;
  return counts.reduce((sum, count, bucket) => sum + Math.abs(count - local.counts[bucket]!), 0);
}
