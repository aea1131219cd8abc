const BYTE_HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * A seeded random generator (xoshiro128**, Blackman and Vigna). The same seed gives the same sequence on every machine.
 * Not for secrets. It has 128 bits of state, so that two seeds do not give the same UUIDs.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** The seed is made from all parts: `new Random(7, 'PHONE')` and `new Random(7, 'EMAIL')` are unrelated. */
  constructor(...seed: (number | string)[]) {
    let state = 0x811c9dc5;
    for (const char of JSON.stringify(seed)) state = Math.imul(state ^ char.codePointAt(0)!, 0x01000193);
    // splitmix32 spreads the hash over the four words.
    const word = () => {
      state = (state + 0x9e3779b9) | 0;
      let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = word();
    this.#b = word();
    this.#c = word();
    this.#d = word();
  }

  /** A whole number of 32 bits, 0 to 4,294,967,295. */
  next(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotate(this.#d, 11);
    return result >>> 0;
  }

  /** A whole number from 0 to `limit` - 1; `limit` at most 2^32. */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability * 0x1_0000_0000;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Puts the items in random order, in place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const item = items[i]!;
      items[i] = items[j]!;
      items[j] = item;
    }
    return items;
  }

  /** A UUID of version 4, lower case. */
  uuid(): string {
    const a = this.next();
    const b = (this.next() & 0xffff0fff) | 0x4000;
    const c = (this.next() & 0x3fffffff) | 0x80000000;
    return `${hex(a >>> 16)}${hex(a)}-${hex(b >>> 16)}-${hex(b)}-${hex(c >>> 16)}-${hex(c)}${hex(this.next())}${hex(this.next())}`;
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** The low 16 bits as 4 hex digits. */
function hex(word: number): string {
  return BYTE_HEX[(word >>> 8) & 0xff]! + BYTE_HEX[word & 0xff]!;
}
