import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { DvError } from '../../errors.ts';
import { CID_BYTES } from '../cid.ts';
import { BUCKETS, emptyBuckets, type BucketTable } from './buckets.ts';
import { fileUnreadable, HEX_PAIRS, readCidLines, type LineVisitor } from './cid-lines.ts';

/** What getCidSetFile says of the file (schema CidSetFile): Bytes and Sha256 (64 hex digits of either case). */
export interface ExpectedFile {
  bytes: number;
  sha256: string;
}

export interface ScanProgress {
  bytes: number;
  totalBytes: number;
}

export interface ScanOptions {
  signal?: AbortSignal | undefined;
  /** About once a megabyte. */
  onProgress?: ((progress: ScanProgress) => void) | undefined;
}

/** One pass over a CID file. Plain data: it crosses threads as it is. */
export interface CidFileScan {
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
  /** CIDs in the file, repeated ones included. */
  lines: number;
  buckets: BucketTable;
}

const WORDS = CID_BYTES / 4;

/** Counts and XORs, in 32-bit words: bytes or strings would take several times as long. */
function accumulator(): { visit: LineVisitor; buckets: () => BucketTable } {
  const counts = new Int32Array(BUCKETS);
  const xors = new Int32Array(BUCKETS * WORDS);
  const visit: LineVisitor = (bytes, at) => {
    const first = HEX_PAIRS[(bytes[at]! << 8) | bytes[at + 1]!]!;
    const second = HEX_PAIRS[(bytes[at + 2]! << 8) | bytes[at + 3]!]!;
    const bucket = ((first << 4) | (second >> 4)) & (BUCKETS - 1);
    let seen = 0;
    let word = bucket * WORDS;
    for (const end = at + 64; at < end; at += 8) {
      const a = HEX_PAIRS[(bytes[at]! << 8) | bytes[at + 1]!]!;
      const b = HEX_PAIRS[(bytes[at + 2]! << 8) | bytes[at + 3]!]!;
      const c = HEX_PAIRS[(bytes[at + 4]! << 8) | bytes[at + 5]!]!;
      const d = HEX_PAIRS[(bytes[at + 6]! << 8) | bytes[at + 7]!]!;
      seen |= a | b | c | d;
      xors[word++]! ^= (a << 24) | (b << 16) | (c << 8) | d;
    }
    counts[bucket]!++;
    return seen >= 0;
  };
  const buckets = () => {
    const table = emptyBuckets();
    table.counts.set(counts);
    const view = new DataView(table.xors.buffer);
    for (const [index, word] of xors.entries()) view.setInt32(index * 4, word);
    return table;
  };
  return { visit, buckets };
}

/**
 * Reads the file once and answers its size, SHA-256, and count and XOR per bucket. Legal: an empty file, upper case,
 * CRLF, a missing last line end, any order, a CID more than once (the comparison finds those). The whole file is
 * refused with DV_FILE_BYTES_WRONG or DV_FILE_SHA256_WRONG before any line is judged, then DV_FILE_LINE_INVALID;
 * DV_FILE_UNREADABLE when it can't be read.
 *
 * Hash and parsing share a thread: 10 million lines take half of what coreutils' sha256sum takes.
 */
export async function scanCidFile(
  path: string,
  expected?: ExpectedFile,
  options: ScanOptions = {},
): Promise<CidFileScan> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw fileUnreadable(cause);
  });
  if (expected !== undefined) refuseBytes(expected.bytes, size);
  const hash = createHash('sha256');
  const { visit, buckets } = accumulator();
  let bytes = 0;
  const read = await readCidLines(path, visit, {
    signal: options.signal,
    onBytes: (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (chunk.length > 0) options.onProgress?.({ bytes, totalBytes: size });
    },
  });
  const sha256 = hash.digest('hex');
  if (expected !== undefined) {
    refuseBytes(expected.bytes, read.bytes);
    if (expected.sha256.toLowerCase() !== sha256) {
      throw new DvError(
        'DV_FILE_SHA256_WRONG',
        "The CID file's SHA-256 is not the one DICT announced. Nothing of it was used: download it again.",
      );
    }
  }
  if (read.badLine !== undefined) {
    throw new DvError(
      'DV_FILE_LINE_INVALID',
      `Line ${read.badLine} of the CID file is not a CID of 64 hexadecimal digits. Nothing of the file was used: request a new one.`,
    );
  }
  return { bytes: read.bytes, sha256, lines: read.lines, buckets: buckets() };
}

function refuseBytes(expected: number, actual: number): void {
  if (expected === actual) return;
  throw new DvError(
    'DV_FILE_BYTES_WRONG',
    `The CID file has ${actual} bytes where DICT announced ${expected}. Nothing of it was used: download it again.`,
  );
}
