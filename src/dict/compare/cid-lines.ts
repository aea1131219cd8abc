import { open, type FileHandle } from 'node:fs/promises';
import { DvError } from '../../errors/dv-error.ts';
import { cidCount, type BucketTable } from './buckets.ts';
import { CidKernel, LONGEST_LINE } from './cid-kernel.ts';

const CHUNK_BYTES = 1 << 20;
const CR = 0x0d;
const LF = 0x0a;

export interface CidLinesOptions {
  signal?: AbortSignal | undefined;
  /**
   * Receives the bytes just read; they are overwritten after its promise resolves. Meanwhile their lines and the next
   * bytes are read.
   */
  onBytes?: (bytes: Buffer) => Promise<void>;
  /**
   * Buckets whose CIDs are passed to onCids; of other lines only the end is read. Default: all lines are read, no CID
   * is passed on.
   */
  wanted?: readonly number[];
  /** Receives the wanted CIDs, 32 bytes each, in the file's order. It is awaited; then the buffer is overwritten. */
  onCids?: (cids: Buffer) => Promise<void>;
  /** Bytes read at a time; default 1 MiB. */
  chunkBytes?: number;
}

export interface CidLines {
  bytes: number;
  /** Count and XOR for each bucket, of all lines before the first bad one. */
  buckets: BucketTable;
  /** Number (from 1) of the first line that is not a CID; this line and those after it were not read. */
  badLine: number | undefined;
}

/** An error of the file system as a `DvError`: DV_FILE_UNREADABLE, with the system's code but never the path. */
export function fileUnreadable(cause: unknown): DvError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new DvError(
    'DV_FILE_UNREADABLE',
    `The CID file cannot be read${code}. It must be downloaded again.`,
    {
      cause,
    },
  );
}

/**
 * Reads a CID file in constant memory. Each line has 64 hex digits in upper or lower case and ends in LF or CRLF; the
 * last line end may be missing, and the lines may be in any order. A bad line is reported in the result and not thrown,
 * because the caller must first check whether this is BACEN's file at all (Bytes, Sha256). Throws DV_FILE_UNREADABLE,
 * or the signal's reason when aborted.
 */
export async function readCidLines(path: string, options: CidLinesOptions = {}): Promise<CidLines> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw fileUnreadable(cause);
  });
  try {
    // There are two areas. While the lines of one are read, the next chunk is read into the other, after space for an
    // unfinished line.
    const chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
    const areaBytes = LONGEST_LINE + chunkBytes;
    const kernel = new CidKernel(2 * areaBytes, options.wanted);
    const { text } = kernel;
    const readChunk = (area: number) => readOn(handle, text, area + LONGEST_LINE, chunkBytes);
    let area = 0;
    let reading = readChunk(area);
    let shown: Promise<void> | undefined;
    let bytes = 0;
    let rest = 0;
    let isBad = false;
    for (;;) {
      options.signal?.throwIfAborted();
      const bytesRead = await reading;
      const isLast = bytesRead === 0;
      const next = areaBytes - area;
      const start = area + LONGEST_LINE;
      const end = start + bytesRead;
      bytes += bytesRead;
      const showing = isLast ? undefined : options.onBytes?.(text.subarray(start, end));
      await shown;
      shown = showing;
      if (!isLast) reading = readChunk(next);
      if (!isBad) {
        // Adds a line end that the file may lack, but not after a CR, which would become a line end.
        if (isLast) text[end] = text[end - 1] === CR ? 0 : LF;
        // A line that may be incomplete is left for the next chunk.
        const linesEnd = isLast ? end : end - LONGEST_LINE + 1;
        const { at, cids } = kernel.read(start - rest, linesEnd);
        await options.onCids?.(cids);
        isBad = at < linesEnd;
        rest = end - at;
        if (!isBad && !isLast) text.copyWithin(next + LONGEST_LINE - rest, at, end);
      }
      if (isLast) {
        const buckets = kernel.buckets();
        return { bytes, buckets, badLine: isBad ? cidCount(buckets) + 1 : undefined };
      }
      area = next;
    }
  } finally {
    // Waits for a read that is still in progress.
    await handle.close();
  }
}

/** Reads the next chunk; returns the number of bytes read. */
function readOn(handle: FileHandle, text: Buffer, at: number, chunkBytes: number): Promise<number> {
  const reading = handle.read(text, at, chunkBytes).then(
    ({ bytesRead }) => bytesRead,
    (cause: unknown) => {
      throw fileUnreadable(cause);
    },
  );
  // If something else fails first, nobody awaits this promise.
  reading.catch(() => undefined);
  return reading;
}
