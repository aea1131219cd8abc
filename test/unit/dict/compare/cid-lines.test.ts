import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BUCKETS, type BucketTable } from '../../../../src/dict/compare/buckets.ts';
import { CidKernel, LONGEST_LINE } from '../../../../src/dict/compare/cid-kernel.ts';
import { readCidLines } from '../../../../src/dict/compare/cid-lines.ts';
import { bucketsOf, cidOf, sha256Of, temporaryFolder } from './cid-files.ts';

const folder = temporaryFolder();
const everyBucket = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
/** Buffers are compared by this: comparing the arrays themselves takes milliseconds. */
const fingerprint = ({ counts, xors }: BucketTable) =>
  sha256Of(Buffer.concat([Buffer.from(counts.buffer), xors]));
const bucketOfHex = (hex: string) => Number.parseInt(hex.slice(0, 3), 16);

/**
 * What a regular expression finds in a file: its CIDs up to the first line that is not a CID, and that line's number.
 */
function naive(text: string): { cids: string[]; badLine: number | undefined } {
  const line = /([0-9a-f]{64})(?:\r?\n|$)/giy;
  const cids: string[] = [];
  for (;;) {
    const { lastIndex } = line;
    const found = line.exec(text);
    if (found === null) return { cids, badLine: lastIndex < text.length ? cids.length + 1 : undefined };
    cids.push(found[1]!.toLowerCase());
  }
}

const legal = fc
  .record({
    lines: fc.array(
      fc.record({ n: fc.nat({ max: 500 }), upper: fc.boolean(), end: fc.constantFrom('\n', '\r\n') }),
      { maxLength: 40 },
    ),
    lastEnd: fc.boolean(),
  })
  .map(({ lines, lastEnd }) => {
    const text = lines.map(({ n, upper, end }) => (upper ? cidOf(n).toUpperCase() : cidOf(n)) + end).join('');
    return lastEnd ? text : text.trimEnd();
  });

/** A character inserted at some place or put in place of the one there; or the one there removed. */
const damages = fc.array(
  fc.record({
    place: fc.nat(),
    by: fc.constantFrom(
      '',
      '\n',
      '\r',
      '\0',
      'g',
      'G',
      '0',
      'f',
      '/',
      ':',
      '@',
      '`',
      ' ',
      '\u00e9',
      '\u00ff',
    ),
    instead: fc.boolean(),
  }),
  { maxLength: 2 },
);

/** With lines this long and short, everything that can happen at a chunk's edge does happen. */
const chunkBytes = fc.constantFrom(1, 2, 63, 64, 65, 66, 67, 130, 200, 1 << 20);

/** How many characters are missing at the end. */
const cut = fc.oneof(fc.constantFrom(0, 0, 1, 2), fc.nat());

test('any file is read as a regular expression reads it, whatever the size of the reads', async () => {
  await fc.assert(
    fc.asyncProperty(legal, damages, cut, chunkBytes, async (whole, changes, missing, chunk) => {
      let text = whole.slice(0, whole.length - (missing % (whole.length + 1)));
      for (const { place, by, instead } of changes) {
        const at = place % (text.length + 1);
        text = text.slice(0, at) + by + text.slice(at + (instead || by === '' ? 1 : 0));
      }
      const expected = naive(text);
      const shown: Buffer[] = [];
      const read = await readCidLines(await folder.write('any', Buffer.from(text, 'latin1')), {
        chunkBytes: chunk,
        onBytes: (bytes) => {
          shown.push(Buffer.from(bytes));
          return Promise.resolve();
        },
      });
      expect(read).toMatchObject({ bytes: text.length, badLine: expected.badLine });
      expect(fingerprint(read.buckets)).toBe(fingerprint(bucketsOf(expected.cids)));
      expect(Buffer.concat(shown).toString('latin1')).toBe(text);
    }),
    { numRuns: 600 },
  );
});

test('it shows every CID of wanted buckets, in the file’s order, and none of other buckets', async () => {
  await fc.assert(
    fc.asyncProperty(legal, fc.array(fc.nat({ max: 500 })), chunkBytes, async (text, some, chunk) => {
      const wanted = [...new Set(some.map((n) => bucketOfHex(cidOf(n))))];
      const expected = naive(text).cids.filter((hex) => wanted.includes(bucketOfHex(hex)));
      const shown: string[] = [];
      const read = await readCidLines(await folder.write('wanted', text), {
        chunkBytes: chunk,
        wanted,
        onCids: (cids) => {
          shown.push(cids.toString('hex'));
          return Promise.resolve();
        },
      });
      expect(shown.join('')).toBe(expected.join(''));
      expect(read).toMatchObject({ bytes: text.length, badLine: undefined });
      expect(fingerprint(read.buckets)).toBe(fingerprint(bucketsOf(expected)));
    }),
    { numRuns: 200 },
  );
});

test('a CR at the very end is not a line end, whatever was read before where its LF would be', async () => {
  const text = `${cidOf(0)}\n`.repeat(65) + `${cidOf(1)}\r\n`.repeat(5).slice(0, -1);
  const read = await readCidLines(await folder.write('cr', text), { chunkBytes: 66 });
  expect(read.badLine).toBe(70);
});

test('bytes are kept until the reader that is shown them is done', async () => {
  const text = Array.from({ length: 60 }, (_, n) => `${cidOf(n)}\n`).join('');
  const seen: string[] = [];
  await readCidLines(await folder.write('slow', text), {
    chunkBytes: 100,
    onBytes: async (bytes) => {
      for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
      seen.push(bytes.toString('latin1'));
    },
  });
  expect(seen.join('')).toBe(text);
});

test('any byte in place of any character of a line makes another CID, or a bad line', () => {
  const line = `${cidOf(1)}\n`;
  const kernel = new CidKernel(LONGEST_LINE, everyBucket);
  for (let place = 0; place < line.length; place++) {
    for (let byte = 0; byte < 256; byte++) {
      const text = line.slice(0, place) + String.fromCharCode(byte) + line.slice(place + 1);
      kernel.text.fill(0).write(text, 'latin1');
      const { at, cids } = kernel.read(0, 1);
      const expected = naive(text).cids;
      expect([at, cids.toString('hex')], `${place}: ${byte}`).toEqual([
        expected.length * line.length,
        expected.join(''),
      ]);
    }
  }
});
