import { CID_BYTES } from '../entry/cid.ts';
import { BUCKETS, type BucketTable } from './buckets.ts';
import { i32, instantiate, leaveIf, loop, v128, variable, when, x16, x8, type Code } from './wasm.ts';

export const CID_HEX_LENGTH = 64;
/** A CID, CR and LF. */
export const LONGEST_LINE = CID_HEX_LENGTH + 2;
const SHORTEST_LINE = CID_HEX_LENGTH + 1;
const LF = 0x0a;
const CR_LF = 0x0a0d;

// Where things lie in the memory, in bytes.
const XORS = 0;
const COUNTS = XORS + BUCKETS * CID_BYTES;
/** A byte for each bucket: whether its lines are to be read, not only passed over. */
const WANTED = COUNTS + BUCKETS * 4;
const TEXT = WANTED + BUCKETS;

/**
 * Reads lines of a CID file: 64 hex digits of either case, LF or CRLF. Adds each CID to its bucket. With wanted buckets it
 * does so for their lines only, keeps their CIDs, and of other lines looks at the bucket and the end alone.
 *
 * In WebAssembly, 16 digits at a time: 10 million lines in 0.14 s, a third of what JavaScript with tables took.
 */
export class CidKernel {
  /** Room for `textBytes` of text, and a line behind it. In shared memory: other threads may look at it. */
  readonly text: Buffer;
  readonly #xors: Uint8Array;
  readonly #counts: Int32Array;
  readonly #cids: Buffer;
  /** 0: each CID is written over the one before, none is kept. */
  readonly #step: number;
  readonly #run: (...parameters: number[]) => number[];

  constructor(textBytes: number, wanted?: readonly number[]) {
    const cids = TEXT + textBytes + LONGEST_LINE;
    // The last CID is written, wanted or not.
    const cidBytes = (Math.ceil(textBytes / SHORTEST_LINE) + 1) * CID_BYTES;
    const { memory, run } = instantiate(KERNEL, cids + cidBytes);
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
   * Reads the lines that begin in text[at, end), up to the first that is none; 66 bytes from a line's begin are looked at.
   * Answers where that is (else `end` or beyond), and the wanted CIDs in their order, 32 bytes each, good until the next
   * call.
   */
  read(at: number, end: number): { at: number; cids: Buffer } {
    const from = this.#cids.byteOffset;
    const [stopped, last] = this.#run(TEXT + at, TEXT + end, from, this.#step) as [number, number];
    return { at: stopped - TEXT, cids: this.#cids.subarray(0, last - from) };
  }

  /** Of all lines read so far. */
  buckets(): BucketTable {
    return { counts: Int32Array.from(this.#counts), xors: Uint8Array.from(this.#xors) };
  }
}

// Parameters: where to read in the memory, up to where, where to keep CIDs, and how far apart.
const at = variable(0);
const end = variable(1);
const out = variable(2);
const step = variable(3);
const length = variable(4);
const bucket = variable(5);
const place = variable(6);
const digits = variable(7);
const letters = variable(8);
const values = variable(9);
const valid = variable(10);
const first = variable(11);
const high = variable(12);
const low = variable(13);

/** Its length with its end, 0 when there is none behind 64 characters. */
const lineLength = i32.add(
  i32.multiply(i32.equal(i32.load8(CID_HEX_LENGTH, at.get), i32.const(LF)), i32.const(SHORTEST_LINE)),
  i32.multiply(i32.equal(i32.load16(CID_HEX_LENGTH, at.get), i32.const(CR_LF)), i32.const(LONGEST_LINE)),
);

/** Which bytes are one of the `count` characters from `lowest` on. */
const among = (text: Code, lowest: string, count: number) =>
  x16.less(x16.subtract(text, x16.all(lowest.charCodeAt(0))), x16.all(count));

/** The 8 bytes that the 16 digits at this offset make, 2 bytes each; `valid` as long as they are digits. */
const bytes = (offset: number): Code => [
  ...digits.set(v128.load(offset, at.get)),
  ...valid.set(
    v128.and(
      valid.get,
      v128.or(among(digits.get, '0', 10), among(v128.or(digits.get, x16.all(0x20)), 'a', 6)),
    ),
  ),
  // The lower half of a digit's character, and 9 more (8 + 1) for a letter's.
  ...letters.set(x16.shiftRight(digits.get, i32.const(6))),
  ...values.set(
    x16.add(
      v128.and(digits.get, x16.all(0xf)),
      x16.add(letters.get, x16.shiftLeft(letters.get, i32.const(3))),
    ),
  ),
  // Of each two, the first, which is the lower in memory, is the higher of the byte.
  ...v128.and(
    v128.or(x8.shiftLeft(values.get, i32.const(4)), x8.shiftRight(values.get, i32.const(8))),
    x8.all(0xff),
  ),
];

const xorInto = (offset: number, half: Code) =>
  v128.store(offset, place.get, v128.xor(v128.load(offset, place.get), half));

const KERNEL = {
  parameters: 4,
  plain: 3,
  vectors: 7,
  code: [
    loop(
      leaveIf(i32.notLess(at.get, end.get)),
      length.set(lineLength),
      leaveIf(i32.isZero(length.get)),

      valid.set(x16.all(0xff)),
      first.set(bytes(0)),
      bucket.set(
        i32.or(
          i32.shiftLeft(x16.byte(0, first.get), i32.const(4)),
          i32.shiftRight(x16.byte(2, first.get), i32.const(4)),
        ),
      ),
      when(
        i32.load8(WANTED, bucket.get),
        high.set(x8.narrow(first.get, bytes(16))),
        low.set(x8.narrow(bytes(32), bytes(48))),
        leaveIf(i32.isZero(x16.allTrue(valid.get)), 1),

        place.set(i32.multiply(bucket.get, i32.const(CID_BYTES))),
        xorInto(XORS, high.get),
        xorInto(XORS + 16, low.get),
        place.set(i32.multiply(bucket.get, i32.const(4))),
        i32.store(COUNTS, place.get, i32.add(i32.load(COUNTS, place.get), i32.const(1))),

        v128.store(0, out.get, high.get),
        v128.store(16, out.get, low.get),
        out.set(i32.add(out.get, step.get)),
      ),
      at.set(i32.add(at.get, length.get)),
    ),
    at.get,
    out.get,
  ],
  results: 2,
};
