import { CID_BYTES } from '../entry/cid.ts';
import { BUCKETS, type BucketTable } from './buckets.ts';
import { CID_KERNEL_BASE64 } from './cid-kernel.bytes.ts';

export const CID_HEX_LENGTH = 64;
/** A CID, CR and LF. */
export const LONGEST_LINE = CID_HEX_LENGTH + 2;
const SHORTEST_LINE = CID_HEX_LENGTH + 1;
const PAGE_BYTES = 1 << 16;

// Offsets in the memory, in bytes; cid-kernel.wat has the same numbers.
const XORS = 0;
const COUNTS = XORS + BUCKETS * CID_BYTES;
/** A byte for each bucket: whether its lines are to be read, or only skipped. */
const WANTED = COUNTS + BUCKETS * 4;
const TEXT = WANTED + BUCKETS;

/**
 * Reads lines of a CID file: 64 hex digits in upper or lower case, LF or CRLF. Adds each CID to its bucket. If wanted
 * buckets are given, it does so only for their lines and keeps their CIDs; of other lines it reads only the bucket and
 * the line end.
 *
 * It is WebAssembly (cid-kernel.wat) that reads 16 digits at a time: 10 million lines take 0.14 s, a third of the time
 * of JavaScript with tables.
 */
export class CidKernel {
  /** Space for `textBytes` of text and one more line. It is shared memory, so other threads may read it. */
  readonly text: Buffer;
  readonly #xors: Uint8Array;
  readonly #counts: Int32Array;
  readonly #cids: Buffer;
  /** 0: each CID overwrites the previous one and none is kept. */
  readonly #step: number;
  readonly #run: (...parameters: number[]) => number[];

  constructor(textBytes: number, wanted?: readonly number[]) {
    const cids = TEXT + textBytes + LONGEST_LINE;
    // The last CID is written even if it is not wanted.
    const cidBytes = (Math.ceil(textBytes / SHORTEST_LINE) + 1) * CID_BYTES;
    const { memory, run } = instantiate(cids + cidBytes);
    this.#run = run;
    this.text = Buffer.from(memory, TEXT, textBytes + LONGEST_LINE);
    this.#cids = Buffer.from(memory, cids, cidBytes);
    this.#xors = new Uint8Array(memory, XORS, BUCKETS * CID_BYTES);
    this.#counts = new Int32Array(memory, COUNTS, BUCKETS);
    this.#step = wanted === undefined ? 0 : CID_BYTES;
    const marks = new Uint8Array(memory, WANTED, BUCKETS);
    if (wanted === undefined) marks.fill(1);
    else for (const bucket of wanted) marks[bucket] = 1;
  }

  /**
   * Reads the lines that begin in text[at, end), up to the first line that is not a CID. It looks at 66 bytes from the
   * beginning of each line. Returns where it stopped (`end` or beyond if all lines are CIDs), and the wanted CIDs in
   * their order, 32 bytes each, valid until the next call.
   */
  read(at: number, end: number): { at: number; cids: Buffer } {
    const from = this.#cids.byteOffset;
    const [stopped, last] = this.#run(TEXT + at, TEXT + end, from, this.#step) as [number, number];
    return { at: stopped - TEXT, cids: this.#cids.subarray(0, last - from) };
  }

  /** Count and XOR for each bucket, of all lines read so far. */
  buckets(): BucketTable {
    return { counts: Int32Array.from(this.#counts), xors: Uint8Array.from(this.#xors) };
  }
}

/** The kernel, with a memory of at least `bytes` bytes, all 0. */
function instantiate(bytes: number): {
  memory: SharedArrayBuffer;
  run: (...parameters: number[]) => number[];
} {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const module = new WebAssembly.Module(Buffer.from(CID_KERNEL_BASE64, 'base64'));
  const { exports } = new WebAssembly.Instance(module, { js: { memory } });
  return { memory: memory.buffer, run: exports['run'] as (...parameters: number[]) => number[] };
}

declare global {
  // Node's own types do not declare WebAssembly; those of browsers would.
  namespace WebAssembly {
    class Memory {
      constructor(descriptor: { initial: number; maximum: number; shared: true });
      readonly buffer: SharedArrayBuffer;
    }
    const Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
    class Instance {
      constructor(module: object, imports: Record<string, Record<string, unknown>>);
      readonly exports: Record<string, unknown>;
    }
  }
}
