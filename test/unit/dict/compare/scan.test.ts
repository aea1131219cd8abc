import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DvError } from '../../../../src/errors/dv-error.ts';
import { cidCount, vsyncOf } from '../../../../src/dict/compare/buckets.ts';
import { scanCidFile, type ScanProgress } from '../../../../src/dict/compare/scan.ts';
import { scanCidFileInThread } from '../../../../src/dict/compare/scan-thread.ts';
import { bucketsOf, cidOf, sha256Of, temporaryFolder } from './cid-files.ts';

const folder = temporaryFolder();
const cids = (n: number) => Array.from({ length: n }, (_, i) => cidOf(i));

describe.each([
  ['in this thread', scanCidFile],
  ['in a thread of its own', scanCidFileInThread],
])('scan %s', (_where, scan) => {
  test('it gives size, hash, lines and buckets of a file of several chunks', async () => {
    const all = cids(40_000);
    const text = `${all.join('\n')}\n`;
    const path = await folder.write('several-chunks', text);
    const progress: ScanProgress[] = [];
    const found = await scan(
      path,
      { bytes: text.length, sha256: sha256Of(text).toUpperCase() },
      { onProgress: (now) => progress.push(now) },
    );
    expect(found).toEqual({
      bytes: text.length,
      sha256: sha256Of(text),
      lines: 40_000,
      buckets: bucketsOf(all),
    });
    expect(progress.length).toBeGreaterThan(2);
    expect(progress.at(-1)).toEqual({ bytes: text.length, totalBytes: text.length });
  });

  test('an empty file is legal', async () => {
    const found = await scan(await folder.write('empty', ''), { bytes: 0, sha256: sha256Of('') });
    expect([found.lines, cidCount(found.buckets), vsyncOf(found.buckets).toHex()]).toEqual([
      0,
      0,
      '0'.repeat(64),
    ]);
  });

  test('a file that does not exist is refused', async () => {
    const error: unknown = await scan(join(folder.path, 'missing')).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(DvError);
    expect(error).toMatchObject({ code: 'DV_FILE_UNREADABLE', class: 'retryable' });
    expect(String(error)).not.toContain(folder.path);
  });

  test('a bad line is refused with its code, class and number', async () => {
    const error: unknown = await scan(await folder.write('bad', `${cidOf(1)}\nx\n`)).catch(
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(DvError);
    expect(error).toMatchObject({ code: 'DV_FILE_LINE_INVALID', class: 'not_retryable' });
    expect(String(error)).toContain('Line 2 ');
  });

  test('an abort before and during the scan ends it', async () => {
    const path = await folder.write('aborted', `${cids(40_000).join('\n')}\n`);
    const reason = new Error('timed out');
    await expect(scan(path, undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const during = scan(path, undefined, {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    });
    await expect(during).rejects.toBe(reason);
  });
});

const line = cidOf(1);
test.each<[string, string, number]>([
  ['a digit too few', `${cidOf(0)}\n${line.slice(1)}\n${cidOf(2)}\n`, 2],
  ['a digit too many', `${cidOf(0)}\n${line}0\n`, 2],
  ['a character that is not a hex digit', `${line.slice(0, -1)}g\n`, 1],
  ['the same at the start', `g${line.slice(1)}\n`, 1],
  ['a character beyond ASCII', `${line.slice(0, -2)}é\n`, 1],
  ['an empty line', `${line}\n\n${cidOf(2)}\n`, 2],
  ['an empty line alone', '\n', 1],
  ['an empty line at the end', `${line}\n\n`, 2],
  ['CR without LF', `${line}\r${cidOf(2)}\n`, 1],
  ['CR at the end', `${line}\r`, 1],
  ['a blank after the CID', `${line} \n`, 1],
  ['a BOM', `\uFEFF${line}\n`, 1],
  ['two CIDs in a line', `${line},${cidOf(2)}\n`, 1],
  ['half a line at the end', `${line}\n${line.slice(0, 30)}`, 2],
  ['a bad line in a later chunk', `${`${line}\n`.repeat(20_000)}oops\n${`${line}\n`.repeat(20_000)}`, 20_001],
])('refused: %s', async (what, text, badLine) => {
  const path = await folder.write('illegal', text);
  const expected = { bytes: Buffer.byteLength(text), sha256: sha256Of(text) };
  const error: unknown = await scanCidFile(path, expected).catch((cause: unknown) => cause);
  expect(error, what).toMatchObject({ code: 'DV_FILE_LINE_INVALID' });
  expect(String(error)).toContain(`Line ${badLine} of`);
  expect(String(error)).not.toContain(line.slice(0, 8));
});

test('a wrong size or hash is what is reported, whatever the lines are', async () => {
  const text = `${line}\nx\n`;
  const path = await folder.write('untrusted', text);
  const { length: bytes } = text;
  await expect(scanCidFile(path, { bytes: bytes + 1, sha256: sha256Of(text) })).rejects.toMatchObject({
    code: 'DV_FILE_BYTES_WRONG',
  });
  await expect(scanCidFile(path, { bytes, sha256: sha256Of('') })).rejects.toMatchObject({
    code: 'DV_FILE_SHA256_WRONG',
  });
});

test('any legal spelling of the lines gives the same buckets', async () => {
  const spelled = fc.array(
    fc.record({ n: fc.nat({ max: 500 }), upper: fc.boolean(), end: fc.constantFrom('\n', '\r\n') }),
    { maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(spelled, fc.boolean(), async (lines, lastEnd) => {
      const all = lines.map(({ n }) => cidOf(n));
      const text = lines.map(({ upper, end }, i) => (upper ? all[i]!.toUpperCase() : all[i]) + end).join('');
      const found = await scanCidFile(await folder.write('spelled', lastEnd ? text : text.trimEnd()));
      expect(found.buckets).toEqual(bucketsOf(all));
      expect(found.lines).toBe(all.length);
    }),
    { numRuns: 60 },
  );
});
