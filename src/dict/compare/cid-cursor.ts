import { DvError } from '../../errors/dv-error.ts';
import { CID_BYTES } from '../entry/cid.ts';
import { compareAt } from './sort.ts';

/** Reads batches of CIDs (32 bytes each) one CID at a time, and awaits only between batches. */
export class CidCursor {
  batch: Buffer = Buffer.alloc(0);
  /** Offset of the current CID in `batch`. */
  at = 0;
  /** Whether no CID is left. */
  done = false;
  readonly #source: AsyncIterator<Buffer, unknown, undefined>;
  readonly #last = Buffer.alloc(CID_BYTES);
  #started = false;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Whether `load` must be called. */
  get spent(): boolean {
    return this.at === this.batch.length && !this.done;
  }

  /**
   * Fetches batches until there is a CID or the source ends. DV_CID_LIST_UNORDERED when the source is not strictly
   * ascending: merging such a list would find false divergences, and the repair of these removes keys.
   */
  async load(): Promise<void> {
    while (this.spent) {
      const next = await this.#source.next();
      if (next.done === true) {
        this.done = true;
        return;
      }
      this.batch = next.value;
      this.at = 0;
      this.#checkOrder();
    }
  }

  #checkOrder(): void {
    const { batch } = this;
    let previous: Buffer = this.#last;
    let previousAt = 0;
    for (let at = 0; at < batch.length; at += CID_BYTES) {
      if (this.#started && compareAt(previous, previousAt, batch, at) >= 0) {
        throw new DvError(
          'DV_CID_LIST_UNORDERED',
          'A list of CIDs to compare is not in ascending order. Nothing was concluded from it. Please report this error.',
        );
      }
      this.#started = true;
      previous = batch;
      previousAt = at;
    }
    if (batch.length > 0) batch.copy(this.#last, 0, batch.length - CID_BYTES);
  }

  /** Lets the source clean up. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
