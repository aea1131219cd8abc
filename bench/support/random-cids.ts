import { createCipheriv } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const CID_BYTES = 32;
const LINE_BYTES = 65;
const BATCH = 16_384;
const HEX = Buffer.from('0123456789abcdef');

/** Writes a CID file of `count` random lines, the same for the same seed. AES in counter mode is fast enough. */
export async function writeRandomCidFile(path: string, count: number, seed: number): Promise<void> {
  function* batches() {
    const key = Buffer.alloc(32);
    key.writeUInt32BE(seed);
    const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
    const zeros = Buffer.alloc(BATCH * CID_BYTES);
    for (let made = 0; made < count; made += BATCH) {
      const lines = Math.min(BATCH, count - made);
      yield hexLines(cipher.update(zeros.subarray(0, lines * CID_BYTES)), lines);
    }
  }
  await pipeline(Readable.from(batches()), createWriteStream(path));
}

function hexLines(bytes: Buffer, lines: number): Buffer {
  const text = Buffer.allocUnsafeSlow(lines * LINE_BYTES);
  let to = 0;
  for (let at = 0; at < bytes.length; at++) {
    text[to++] = HEX[bytes[at]! >> 4]!;
    text[to++] = HEX[bytes[at]! & 15]!;
    if (at % CID_BYTES === CID_BYTES - 1) text[to++] = 10;
  }
  return text;
}
