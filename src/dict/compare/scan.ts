import { stat } from 'node:fs/promises';
import { DvError } from '../../errors/dv-error.ts';
import { cidCount, type BucketTable } from './buckets.ts';
import { fileUnreadable, readCidLines } from './cid-lines.ts';
import { hashHere, type FileHash } from './file-hash.ts';

/** What getCidSetFile says about the file (schema CidSetFile): Bytes and Sha256 (64 hex digits in either case). */
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
  /** Called about once for each megabyte. */
  onProgress?: ((progress: ScanProgress) => void) | undefined;
}

/** The result of one pass over a CID file. Plain data, which can be passed between threads. */
export interface CidFileScan {
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
  /** CIDs in the file, repeated ones included. */
  lines: number;
  buckets: BucketTable;
}

/**
 * Reads the file once and returns its size, its SHA-256, and count and XOR for each bucket. These are allowed: an empty
 * file, upper case, CRLF, a missing last line end, any order, a CID more than once (the comparison finds those). The
 * whole file is refused with DV_FILE_BYTES_WRONG or DV_FILE_SHA256_WRONG before any line is judged, then with
 * DV_FILE_LINE_INVALID. DV_FILE_UNREADABLE when it cannot be read.
 */
export async function scanCidFile(
  path: string,
  expected?: ExpectedFile,
  options: ScanOptions = {},
  hash: FileHash = hashHere(),
): Promise<CidFileScan> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw fileUnreadable(cause);
  });
  if (expected !== undefined) refuseBytes(expected.bytes, size);
  let bytes = 0;
  const read = await readCidLines(path, {
    signal: options.signal,
    onBytes: (chunk) => {
      bytes += chunk.length;
      options.onProgress?.({ bytes, totalBytes: size });
      return hash.update(chunk);
    },
  });
  const sha256 = await hash.digest();
  if (expected !== undefined) {
    refuseBytes(expected.bytes, read.bytes);
    if (expected.sha256.toLowerCase() !== sha256) {
      throw new DvError(
        'DV_FILE_SHA256_WRONG',
        "The CID file's SHA-256 is not the one that DICT announced. Nothing of it was used. Download it again.",
      );
    }
  }
  if (read.badLine !== undefined) {
    throw new DvError(
      'DV_FILE_LINE_INVALID',
      `Line ${read.badLine} of the CID file is not a CID of 64 hexadecimal digits. Nothing of the file was used. Request a new one.`,
    );
  }
  const { buckets } = read;
  return { bytes: read.bytes, sha256, lines: cidCount(buckets), buckets };
}

function refuseBytes(expected: number, actual: number): void {
  if (expected === actual) return;
  throw new DvError(
    'DV_FILE_BYTES_WRONG',
    `The CID file has ${actual} bytes, but DICT announced ${expected}. Nothing of it was used. Download it again.`,
  );
}
