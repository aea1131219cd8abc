import { open, type FileHandle } from 'node:fs/promises';
import { DvError } from '../../errors/dv-error.ts';
import { cidCount, type BucketTable } from './buckets.ts';
import { CidKernel, LONGEST_LINE } from './cid-kernel.ts';

const CHUNK_BYTES = 1 << 20;
const CR = 0x0d;
const LF = 0x0a;

export interface CidLinesOptions {
  signal?: AbortSignal | undefined;
  /** The bytes just read; reused once what it answers resolves. Meanwhile their lines are read, and the next bytes. */
  onBytes?: (bytes: Buffer) => Promise<void>;
  /** Buckets whose CIDs are shown; of other lines nothing is read but where they end. Default: all are read, none shown. */
  wanted?: readonly number[];
  /** The wanted CIDs, 32 bytes each, in the file's order; reused afterwards. Awaited. */
  onCids?: (cids: Buffer) => Promise<void>;
  /** Bytes read at a time; default 1 MiB. */
  chunkBytes?: number;
}

export interface CidLines {
  bytes: number;
  /** Of all lines read, up to a bad one. */
  buckets: BucketTable;
  /** Number (from 1) of the first line that is no CID; lines from there on were not read. */
  badLine: number | undefined;
}

/** An error of the file system in a `DvError`: DV_FILE_UNREADABLE, with the system's code and never the path. */
export function fileUnreadable(cause: unknown): DvError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new DvError('DV_FILE_UNREADABLE', `The CID file cannot be read${code}. Have it downloaded again.`, {
    cause,
  });
}

/**
 * Reads a CID file (64 hex digits of either case a line; LF or CRLF; the last line may lack it; no order) in constant
 * memory. A bad line is reported in the result, not thrown: whether the file is BACEN's at all (Bytes, Sha256) is to be
 * judged first. DV_FILE_UNREADABLE; the signal's reason when aborted.
 */
export async function readCidLines(path: string, options: CidLinesOptions = {}): Promise<CidLines> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw fileUnreadable(cause);
  });
  try {
    // Two areas: while the lines of one are read, the next chunk comes into the other, behind room for a line begun.
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
        // The line end that a file may lack; not behind a CR, which would become one.
        if (isLast) text[end] = text[end - 1] === CR ? 0 : LF;
        // A line that may not be wholly there yet is left to the next chunk.
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
    // Waits for a read that is still under way.
    await handle.close();
  }
}

/** Reads on; the bytes read. */
function readOn(handle: FileHandle, text: Buffer, at: number, chunkBytes: number): Promise<number> {
  const reading = handle.read(text, at, chunkBytes).then(
    ({ bytesRead }) => bytesRead,
    (cause: unknown) => {
      throw fileUnreadable(cause);
    },
  );
  // Where something else fails first, nobody waits for it any more.
  reading.catch(() => undefined);
  return reading;
}
