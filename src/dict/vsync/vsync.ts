import { DvError } from '../../errors/dv-error.ts';
import { CID_BYTES } from '../entry/cid.ts';

const VSYNC_HEX = /^[0-9a-f]{64}$/i;

/**
 * A sync verifier: the XOR of the CIDs of a set as 32-byte numbers; the empty set is 64 zeros (DICT API 2.6.1, tag
 * Reconciliation, "Cálculo do VSync"). Adding a CID and removing it are the same operation.
 */
export class VSync {
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The VSync of the empty set. */
  static empty(): VSync {
    return new VSync(Buffer.alloc(CID_BYTES));
  }

  /** From 64 hex digits in upper or lower case, or DV_VSYNC_INVALID. */
  static parse(hex: string): VSync {
    if (VSYNC_HEX.test(hex)) return new VSync(Buffer.from(hex, 'hex'));
    throw new DvError(
      'DV_VSYNC_INVALID',
      'A VSync is 64 hexadecimal digits. Check that it was copied completely.',
    );
  }

  /** Adds or removes one CID (or the XOR of a whole set), in place. DV_CID_INVALID unless it has 32 bytes. */
  xor(cid: Uint8Array): this {
    if (cid.length !== CID_BYTES) {
      throw new DvError('DV_CID_INVALID', `A CID has ${CID_BYTES} bytes, not ${cid.length}.`);
    }
    for (let i = 0; i < CID_BYTES; i++) this.#bytes[i]! ^= cid[i]!;
    return this;
  }

  /** 64 lower-case hex digits, as createSyncVerification takes them. */
  toHex(): string {
    return this.#bytes.toString('hex');
  }

  equals(other: VSync): boolean {
    return this.#bytes.equals(other.#bytes);
  }
}
