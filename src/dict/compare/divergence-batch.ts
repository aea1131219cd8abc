import { CID_BYTES } from '../entry/cid.ts';

export type DivergenceSide = 'DICT_ONLY' | 'LOCAL_ONLY';

export interface Divergence {
  side: DivergenceSide;
  cid: Buffer;
}

/** Receives divergences in ascending CID order, and may keep them. It is awaited before the comparison continues. */
export type DivergenceSink = (batch: Divergence[]) => Promise<void>;

/** Collects divergences into batches for the sink, and counts them. */
export class DivergenceBatch {
  dictOnly = 0;
  localOnly = 0;
  readonly #sink: DivergenceSink;
  readonly #size: number;
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

  /** Passes the batch to the sink, if it is not empty. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#bytes = Buffer.allocUnsafeSlow(this.#size * CID_BYTES);
    await this.#sink(batch);
  }
}
