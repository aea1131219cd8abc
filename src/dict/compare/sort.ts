import { CID_BYTES } from '../entry/cid.ts';

/** The order of two CIDs, each 32 bytes at an offset: negative, 0 or positive. */
export function compareAt(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < CID_BYTES; i++) {
    const order = a[aAt + i]! - b[bAt + i]!;
    if (order !== 0) return order;
  }
  return 0;
}

/**
 * A sorter for up to `capacity` CIDs at a time, with 44 bytes of working memory for each.
 *
 * It sorts plain numbers natively, without an object for each CID: the CID's first 32 bits (fewer above 2 million CIDs)
 * and its index together fit into the 53 bits of a double. CIDs with the same 32 bits are rare; an insertion sort puts
 * them into order.
 */
export class CidSorter {
  readonly #keys: Float64Array;
  readonly #offsets: Uint32Array;
  readonly #sorted: Buffer;

  constructor(capacity: number) {
    this.#keys = new Float64Array(capacity);
    this.#offsets = new Uint32Array(capacity);
    this.#sorted = Buffer.allocUnsafeSlow(capacity * CID_BYTES);
  }

  /**
   * The CIDs in `source` (32 bytes each) in ascending order and without repetitions, valid until the next call. Every
   * repetition is passed to `onDuplicate`.
   */
  sortUnique(source: Buffer, onDuplicate: (cid: Buffer) => void): Buffer {
    const offsets = this.#order(source);
    const sorted = this.#sorted;
    let written = 0;
    for (let i = 0; i < offsets.length; i++) {
      const at = offsets[i]!;
      if (written > 0 && compareAt(sorted, written - CID_BYTES, source, at) === 0) {
        onDuplicate(source.subarray(at, at + CID_BYTES));
      } else {
        source.copy(sorted, written, at, at + CID_BYTES);
        written += CID_BYTES;
      }
    }
    return sorted.subarray(0, written);
  }

  /** The CIDs' byte offsets in ascending order of the CIDs. */
  #order(source: Buffer): Uint32Array {
    const n = source.length / CID_BYTES;
    const indexBits = Math.ceil(Math.log2(n));
    const stride = 2 ** indexBits;
    const cut = 2 ** Math.max(0, 32 + indexBits - 53);
    const keys = this.#keys.subarray(0, n);
    const offsets = this.#offsets.subarray(0, n);
    for (let i = 0; i < n; i++) keys[i] = Math.floor(source.readUInt32BE(i * CID_BYTES) / cut) * stride + i;
    keys.sort();
    for (let i = 0; i < n; i++) {
      const at = (keys[i]! - Math.floor(keys[i]! / stride) * stride) * CID_BYTES;
      let to = i;
      while (to > 0 && compareAt(source, offsets[to - 1]!, source, at) > 0) {
        offsets[to] = offsets[to - 1]!;
        to--;
      }
      offsets[to] = at;
    }
    return offsets;
  }
}
