import { CID_BYTES } from '../entry/cid.ts';
import { cidCount, differingBuckets, vsyncOf, type BucketTable } from './buckets.ts';
import { CidCursor } from './cid-cursor.ts';
import { DivergenceBatch, type DivergenceSink } from './divergence-batch.ts';
import { listFileCids, type ScannedFile } from './file-cids.ts';
import { compareAt } from './sort.ts';

/** The local CIDs of one participant and key type. Both methods must read the same snapshot of the key base. */
export interface LocalCids {
  buckets(): Promise<BucketTable>;
  /**
   * All CIDs of those buckets (ascending), strictly ascending by bytes. A yielded buffer contains one CID or several,
   * 32 bytes each, and is not changed until the next one is requested. Called once, and only if there are buckets to
   * list.
   */
  list(buckets: number[]): AsyncIterable<Buffer>;
}

export interface CompareOptions {
  /** Folder for the temporary file, needed when the differing buckets contain more CIDs than `partitionLimit`. */
  tempDir: string;
  /** CIDs of the file sorted in memory at a time; default 131,072. */
  partitionLimit?: number;
  /** Divergences for each call of the sink; default 1,000. */
  batchSize?: number;
  signal?: AbortSignal | undefined;
}

export interface Comparison {
  dictOnly: number;
  localOnly: number;
  /** Repetitions in the file. The other counts and the VSyncs leave them out. */
  duplicates: number;
  fileCids: number;
  localCids: number;
  vsyncFile: string;
  vsyncLocal: string;
}

/**
 * Finds the CIDs that only the file (DICT) or only the local base has, and passes them to the sink in ascending order.
 * Only buckets whose count or XOR differ are listed. Memory is constant: it grows neither with the sets nor with their
 * difference.
 *
 * A CID may be in the file twice. If a bucket has the same count and XOR on both sides, the CIDs with odd multiplicity
 * in the file must be the local set (otherwise distinct CIDs would XOR to zero, a chance that the VSync itself depends
 * on), and each further repetition makes the file's count larger. So a bucket with repetitions always differs and is
 * listed. Sorting puts repetitions side by side; all but one are dropped and counted, and the rest is compared as sets.
 *
 * Errors: DV_FILE_CHANGED, DV_FILE_UNREADABLE, DV_TEMP_FILE_FAILED, the sink's, the local side's, the signal's reason.
 */
export async function compareCids(
  file: ScannedFile,
  local: LocalCids,
  sink: DivergenceSink,
  options: CompareOptions,
): Promise<Comparison> {
  const localBuckets = await local.buckets();
  const buckets = differingBuckets(file.scan.buckets, localBuckets);
  const vsyncFile = vsyncOf(file.scan.buckets);
  let duplicates = 0;
  const fileCids = listFileCids(file, buckets, {
    tempDir: options.tempDir,
    partitionLimit: options.partitionLimit ?? 131_072,
    signal: options.signal,
    onDuplicate: (cid) => {
      duplicates++;
      vsyncFile.xor(cid);
    },
  });
  const divergences = new DivergenceBatch(sink, options.batchSize ?? 1000);
  if (buckets.length > 0) await merge(fileCids, local.list(buckets), divergences, options.signal);
  return {
    dictOnly: divergences.dictOnly,
    localOnly: divergences.localOnly,
    duplicates,
    fileCids: file.scan.lines - duplicates,
    localCids: cidCount(localBuckets),
    vsyncFile: vsyncFile.toHex(),
    vsyncLocal: vsyncOf(localBuckets).toHex(),
  };
}

async function merge(
  fileCids: AsyncIterable<Buffer>,
  localCids: AsyncIterable<Buffer>,
  divergences: DivergenceBatch,
  signal: AbortSignal | undefined,
): Promise<void> {
  const dict = new CidCursor(fileCids);
  const local = new CidCursor(localCids);
  try {
    for (;;) {
      if (dict.spent || local.spent || divergences.isFull) {
        signal?.throwIfAborted();
        await Promise.all([dict.load(), local.load()]);
        if (dict.done && local.done) break;
        if (divergences.isFull) await divergences.flush();
      }
      const order = dict.done ? 1 : local.done ? -1 : compareAt(dict.batch, dict.at, local.batch, local.at);
      if (order < 0) divergences.add('DICT_ONLY', dict.batch, dict.at);
      if (order > 0) divergences.add('LOCAL_ONLY', local.batch, local.at);
      if (order <= 0) dict.at += CID_BYTES;
      if (order >= 0) local.at += CID_BYTES;
    }
    await divergences.flush();
  } finally {
    await Promise.allSettled([dict.close(), local.close()]);
  }
}
