import { createHash, type Hash } from 'node:crypto';
import { CID_BYTES } from '../entry/cid.ts';

/** "D <cid>\n" */
const LINE_BYTES = 2 + 2 * CID_BYTES + 1;
const D = 0x44;
const L = 0x4c;
const SPACE = 0x20;
const LF = 0x0a;
const HEX_DIGITS = Buffer.from('0123456789abcdef');

export type DivergenceSide = 'DICT_ONLY' | 'LOCAL_ONLY';

export interface Divergence {
  side: DivergenceSide;
  cid: Buffer;
}

/** Receives divergences in ascending CID order, and may keep them. It is awaited before the comparison continues. */
export type DivergenceSink = (batch: Divergence[]) => Promise<void>;

/** Collects divergences into batches for the sink, counts them, and hashes the set. */
export class DivergenceBatch {
  dictOnly = 0;
  localOnly = 0;
  readonly #sink: DivergenceSink;
  readonly #size: number;
  readonly #hash: Hash = createHash('sha256');
  readonly #lines: Buffer;
  #bytes: Buffer;
  #batch: Divergence[] = [];

  constructor(sink: DivergenceSink, size: number) {
    this.#sink = sink;
    this.#size = size;
    this.#bytes = Buffer.allocUnsafeSlow(size * CID_BYTES);
    this.#lines = Buffer.allocUnsafeSlow(size * LINE_BYTES);
  }

  get isFull(): boolean {
    return this.#batch.length === this.#size;
  }

  /** Adds the CID at `source[at]`, which is copied. The batch must not be full. */
  add(side: DivergenceSide, source: Buffer, at: number): void {
    const to = this.#batch.length * CID_BYTES;
    source.copy(this.#bytes, to, at, at + CID_BYTES);
    this.#line(this.#batch.length * LINE_BYTES, side, source, at);
    this.#batch.push({ side, cid: this.#bytes.subarray(to, to + CID_BYTES) });
    if (side === 'DICT_ONLY') this.dictOnly++;
    else this.localOnly++;
  }

  /** Writes the line to be hashed. It writes bytes, because strings would be most of the comparison's garbage. */
  #line(to: number, side: DivergenceSide, source: Buffer, at: number): void {
    const lines = this.#lines;
    lines[to++] = side === 'DICT_ONLY' ? D : L;
    lines[to++] = SPACE;
    for (let i = at; i < at + CID_BYTES; i++) {
      lines[to++] = HEX_DIGITS[source[i]! >> 4]!;
      lines[to++] = HEX_DIGITS[source[i]! & 15]!;
    }
    lines[to] = LF;
  }

  /** Passes the batch to the sink, if it is not empty. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#hash.update(this.#lines.subarray(0, batch.length * LINE_BYTES));
    this.#batch = [];
    this.#bytes = Buffer.allocUnsafeSlow(this.#size * CID_BYTES);
    await this.#sink(batch);
  }

  /**
   * SHA-256, lower-case hex, over the lines "D <cid>\n" (in DICT only) and "L <cid>\n" in CID order. May be called
   * once.
   */
  setHash(): string {
    return this.#hash.digest('hex');
  }
}
