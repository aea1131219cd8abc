import { open, type FileHandle } from 'node:fs/promises';
import { DvError } from '../../errors.ts';

const CHUNK_BYTES = 1 << 20;
const CID_HEX_LENGTH = 64;
/** A CID, CR and LF. */
const LONGEST_LINE = CID_HEX_LENGTH + 2;
const CR = 0x0d;
const LF = 0x0a;

/** The byte that two hex digits make, by their two character codes as one 16-bit number; -1 for anything else. */
export const HEX_PAIRS = hexPairs();

function hexPairs(): Int16Array {
  const digits = '0123456789abcdefABCDEF';
  const pairs = new Int16Array(1 << 16).fill(-1);
  for (const high of digits) {
    for (const low of digits) {
      pairs[(high.charCodeAt(0) << 8) | low.charCodeAt(0)] = Number.parseInt(high + low, 16);
    }
  }
  return pairs;
}

/** Gets a line's 64 characters at `bytes[at]`; answers whether all are hex digits. Called once a line: keep it lean. */
export type LineVisitor = (bytes: Uint8Array, at: number) => boolean;

export interface CidLinesOptions {
  signal?: AbortSignal | undefined;
  /** The bytes just read, before their lines are visited; they are reused afterwards. */
  onBytes?: (bytes: Uint8Array) => void;
  /** After a chunk's lines were visited; awaited. */
  afterChunk?: () => Promise<void>;
}

export interface CidLines {
  bytes: number;
  lines: number;
  /** Number (from 1) of the first line that is no CID; lines from there on were not visited. */
  badLine: number | undefined;
}

/** An error of the file system in a `DvError`: DV_FILE_UNREADABLE, with the system's code and never the path. */
export function fileUnreadable(cause: unknown): DvError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new DvError('DV_FILE_UNREADABLE', `The CID file cannot be read${code}. Have it downloaded again.`, {
    class: 'retryable',
    cause,
  });
}

/**
 * Reads a CID file (64 hex digits of either case a line; LF or CRLF; the last line may lack it; no order) in constant
 * memory and shows every line to the visitor. A bad line is reported in the result, not thrown: whether the file is
 * BACEN's at all (Bytes, Sha256) is to be judged first. DV_FILE_UNREADABLE; the signal's reason when aborted.
 */
export async function readCidLines(
  path: string,
  visit: LineVisitor,
  options: CidLinesOptions = {},
): Promise<CidLines> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw fileUnreadable(cause);
  });
  try {
    const state: CidLines = { bytes: 0, lines: 0, badLine: undefined };
    // Two buffers: the next chunk is read while the lines of this one are visited.
    let buffer = Buffer.allocUnsafeSlow(LONGEST_LINE + CHUNK_BYTES);
    let next = Buffer.allocUnsafeSlow(LONGEST_LINE + CHUNK_BYTES);
    let reading = readChunk(handle, buffer);
    let rest = 0;
    for (;;) {
      options.signal?.throwIfAborted();
      const bytesRead = await reading;
      const isLast = bytesRead === 0;
      if (!isLast) reading = readChunk(handle, next);
      state.bytes += bytesRead;
      const end = LONGEST_LINE + bytesRead;
      options.onBytes?.(buffer.subarray(LONGEST_LINE, end));
      const stopped = visitLines(buffer, LONGEST_LINE - rest, end, isLast, visit, state);
      await options.afterChunk?.();
      if (isLast) return state;
      rest = state.badLine === undefined ? end - stopped : 0;
      buffer.copy(next, LONGEST_LINE - rest, end - rest, end);
      [buffer, next] = [next, buffer];
    }
  } finally {
    // Waits for a read that is still under way.
    await handle.close();
  }
}

/** Reads on, behind the place for what is left of the chunk before; the bytes read. */
function readChunk(handle: FileHandle, buffer: Buffer): Promise<number> {
  const reading = handle.read(buffer, LONGEST_LINE, CHUNK_BYTES).then(
    ({ bytesRead }) => bytesRead,
    (cause: unknown) => {
      throw fileUnreadable(cause);
    },
  );
  // Where the visitor fails first, nobody waits for it any more.
  reading.catch(() => undefined);
  return reading;
}

/** Visits the lines in buffer[at, end) and answers where it stopped: at a line not wholly there yet, or a bad one. */
function visitLines(
  buffer: Uint8Array,
  at: number,
  end: number,
  isLast: boolean,
  visit: LineVisitor,
  state: CidLines,
): number {
  while (at < end && state.badLine === undefined) {
    if (end - at < LONGEST_LINE && !isLast) break;
    const length = lineLength(buffer, at, end);
    if (length > 0 && visit(buffer, at)) {
      state.lines++;
      at += length;
    } else {
      state.badLine = state.lines + 1;
    }
  }
  return at;
}

/** The line's length with its end, 0 when it has not the length of a CID. */
function lineLength(buffer: Uint8Array, at: number, end: number): number {
  const after = at + CID_HEX_LENGTH;
  if (after >= end) return after === end ? CID_HEX_LENGTH : 0;
  if (buffer[after] === LF) return CID_HEX_LENGTH + 1;
  return after + 1 < end && buffer[after] === CR && buffer[after + 1] === LF ? CID_HEX_LENGTH + 2 : 0;
}
