import { DvError } from '../../errors/dv-error.ts';
import { CID_BYTES } from '../entry/cid.ts';
import { BUCKETS, differingBuckets } from './buckets.ts';
import { memoryStore, tempFileStore, type CidStore, type Partition } from './cid-store.ts';
import { readCidLines } from './cid-lines.ts';
import type { CidFileScan } from './scan.ts';
import { CidSorter } from './sort.ts';

/** A CID file and the result of one pass over it. */
export interface ScannedFile {
  path: string;
  scan: CidFileScan;
}

export interface FileCidsOptions {
  /** Folder for the temporary file. */
  tempDir: string;
  /** CIDs sorted in memory at a time (76 bytes each); if the listed buckets contain more, all go through a file. */
  partitionLimit: number;
  signal?: AbortSignal | undefined;
  /** Receives each repetition of a CID; the buffer is valid only during the call. */
  onDuplicate: (cid: Buffer) => void;
}

/**
 * The file's CIDs in those buckets (ascending), in ascending order and without repetitions, in batches of 32 bytes for
 * each CID. A batch is valid until the next one is requested. Memory does not grow with the file: the scan knows the
 * count of every bucket, so neighbouring buckets form partitions that fit in memory, and each CID is written directly
 * to the place of its partition. DV_FILE_CHANGED when the file is no longer the one that was scanned;
 * DV_FILE_UNREADABLE, DV_TEMP_FILE_FAILED.
 */
export async function* listFileCids(
  file: ScannedFile,
  buckets: readonly number[],
  options: FileCidsOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const { partitions, partitionOf } = plan(file.scan, buckets, options.partitionLimit);
  const largest = Math.max(0, ...partitions.map(({ bytes }) => bytes));
  if (largest === 0) return;
  const store =
    partitions.length === 1 ? memoryStore(largest) : await tempFileStore(options.tempDir, partitions);
  try {
    await fill(store, file, buckets, partitionOf, options.signal);
    const sorter = new CidSorter(largest / CID_BYTES);
    for (const partition of partitions.keys()) {
      options.signal?.throwIfAborted();
      yield sorter.sortUnique(await store.read(partition), options.onDuplicate);
    }
  } finally {
    await store.close();
  }
}

function plan(scan: CidFileScan, buckets: readonly number[], limit: number) {
  const partitions: Partition[] = [];
  const partitionOf = new Int32Array(BUCKETS).fill(-1);
  let last: Partition | undefined;
  for (const bucket of buckets) {
    const bytes = scan.buckets.counts[bucket]! * CID_BYTES;
    if (bytes === 0) continue;
    if (last === undefined || last.bytes + bytes > limit * CID_BYTES) {
      last = { from: last === undefined ? 0 : last.from + last.bytes, bytes: 0 };
      partitions.push(last);
    }
    last.bytes += bytes;
    partitionOf[bucket] = partitions.length - 1;
  }
  return { partitions, partitionOf };
}

/** Second pass over the file: writes every CID of a listed bucket to the place of its partition. */
async function fill(
  store: CidStore,
  { path, scan }: ScannedFile,
  wanted: readonly number[],
  partitionOf: Int32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const left = scan.buckets.counts.slice();
  const read = await readCidLines(path, {
    signal,
    // With smaller chunks, waiting for a chunk takes longer than skipping its lines.
    chunkBytes: 1 << 22,
    wanted,
    onCids: async (cids) => {
      for (let at = 0; at < cids.length; at += CID_BYTES) {
        const bucket = (cids[at]! << 4) | (cids[at + 1]! >> 4);
        // More CIDs than the scan counted would overwrite the next partition, or lie beyond the last one.
        if (left[bucket]!-- === 0) throw fileChanged();
        store.append(partitionOf[bucket]!, cids, at);
      }
      await store.flush(false);
    },
  });
  // In the wanted buckets this pass must see exactly what the scan saw. This check is as good as hashing the whole file
  // again, because only these CIDs are used, and takes a third of the time.
  const differ = new Set(differingBuckets(read.buckets, scan.buckets));
  if (read.badLine !== undefined || wanted.some((bucket) => differ.has(bucket))) throw fileChanged();
  await store.flush(true);
}

function fileChanged(): DvError {
  return new DvError(
    'DV_FILE_CHANGED',
    'The CID file changed while it was being compared. Nothing of it was used; it must be downloaded again.',
  );
}
