import { createHash, type Hash } from 'node:crypto';
import { CID_BYTES } from '../cid.ts';

export type DivergenceSide = 'DICT_ONLY' | 'LOCAL_ONLY';

export interface Divergence {
  side: DivergenceSide;
  cid: Buffer;
}

/** Takes divergences in ascending CID order; awaited before the comparison goes on. May keep what it gets. */
export type DivergenceSink = (batch: Divergence[]) => Promise<void>;

/** Collects divergences into batches for the sink, counts them, and hashes the set. */
export class DivergenceBatch {
  dictOnly = 0;
  localOnly = 0;
  readonly #sink: DivergenceSink;
  readonly #size: number;
  readonly #hash: Hash = createHash('sha256');
  #bytes: Buffer;
  #batch: Divergence[] = [];

  constructor(sink: DivergenceSink, size: number) {
    this.#sink = sink;
    this.#size = size;
    this.#bytes = Buffer.allocUnsafeSlow(size * CID_BYTES);
  }

  get isFull(): boolean {
    return this.#batch.length === this.#size;
  }

  /** Adds the CID at `source[at]`, which is copied. The batch must not be full. */
  add(side: DivergenceSide, source: Buffer, at: number): void {
    const to = this.#batch.length * CID_BYTES;
    source.copy(this.#bytes, to, at, at + CID_BYTES);
    this.#batch.push({ side, cid: this.#bytes.subarray(to, to + CID_BYTES) });
    if (side === 'DICT_ONLY') this.dictOnly++;
    else this.localOnly++;
  }

  /** Hands the batch to the sink, if there is anything in it. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    const hex = this.#bytes.toString('hex');
    const lines = batch.map(
      ({ side }, i) => `${side === 'DICT_ONLY' ? 'D' : 'L'} ${hex.slice(i * 64, i * 64 + 64)}\n`,
    );
    this.#hash.update(lines.join(''));
    this.#batch = [];
    this.#bytes = Buffer.allocUnsafeSlow(this.#size * CID_BYTES);
    await this.#sink(batch);
  }

  /** SHA-256, lower-case hex, over the lines "D <cid>\n" (in DICT only) and "L <cid>\n" in CID order. Ends it. */
  setHash(): string {
    return this.#hash.digest('hex');
  }
}
