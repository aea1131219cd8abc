import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { stringify } from 'csv-stringify/sync';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scanCidFile } from '../../../src/dict/compare/scan.ts';
import { ENTRY_CSV_FORMAT, readEntriesCsv } from '../../../src/dict/key-base/csv.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { entryProblems } from '../../../src/dict/entry/entry-validation.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { damaged, damages, FUZZ_TIMEOUT, fuzzing, refusedOr } from './support.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dict-vsync-fuzz-'));
});
afterAll(async () => rm(folder, { recursive: true }));

const entries = [
  ...generateKeyBase({ participant: '12345678', keyTypes: KEY_TYPES, keysPerType: 3, seed: 1 }),
];

test(
  'a damaged CID file is refused with a code, or read line by line; a check of its SHA-256 always refuses it',
  async () => {
    const lines = Array.from({ length: 40 }, (_, n) => createHash('sha256').update(String(n)).digest('hex'));
    const whole = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const expected = { bytes: whole.length, sha256: createHash('sha256').update(whole).digest('hex') };
    const path = join(folder, 'cids');
    await fc.assert(
      fc.asyncProperty(damages, async (changes) => {
        const content = damaged(whole, changes);
        await writeFile(path, content);
        const scan = await refusedOr(async () => scanCidFile(path));
        if (!(scan instanceof DvError)) {
          const read = content
            .toString('latin1')
            .split(/\r?\n/)
            .filter((line) => line !== '');
          expect(read.every((line) => /^[0-9a-f]{64}$/i.test(line))).toBe(true);
          expect(scan.lines).toBe(read.length);
        }
        const checked = await refusedOr(async () => scanCidFile(path, expected));
        expect(checked instanceof DvError).toBe(!content.equals(whole));
      }),
      fuzzing(300),
    );
  },
  FUZZ_TIMEOUT,
);

test(
  'a damaged CSV is refused with a code that quotes nothing, or gives entries that are valid',
  async () => {
    const whole = Buffer.from(stringify(entries, ENTRY_CSV_FORMAT));
    await fc.assert(
      fc.asyncProperty(damages, async (changes) => {
        const content = damaged(whole, changes);
        const read = await refusedOr(async () => {
          const all: { entry: Entry }[] = [];
          for await (const record of readEntriesCsv(Readable.from([content]))) all.push(record);
          return all;
        });
        if (read instanceof DvError) {
          expect(read.code).toMatch(/^DV_CSV_/);
          for (const { key, name, taxIdNumber } of entries) {
            for (const secret of [key, name, taxIdNumber]) expect(read.message).not.toContain(secret);
          }
        } else {
          for (const { entry } of read) expect(entryProblems(entry)).toEqual([]);
        }
      }),
      fuzzing(300),
    );
  },
  FUZZ_TIMEOUT,
);
