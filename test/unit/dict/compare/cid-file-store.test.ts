import { readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  appendStream,
  cidFilePath,
  createEmpty,
  downloadedBytes,
  expectRoom,
  removeRunFolder,
  runFolder,
} from '../../../../src/dict/compare/cid-file-store.ts';
import { temporaryFolder } from './cid-files.ts';

const folder = temporaryFolder();
const NO_LIMITS = { maxBytes: Infinity, maxMs: Infinity, announced: Infinity };

/** A stream of these texts that records how far it was read, and whether it was closed. */
function streamOf(texts: string[], failure?: Error) {
  const seen = { read: 0, closed: false };
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (const text of texts) {
        seen.read++;
        yield Buffer.from(text);
      }
      await Promise.resolve();
      if (failure !== undefined) throw failure;
    } finally {
      seen.closed = true;
    }
  }
  return { seen, stream: chunks() };
}

const pathOf = (run: string) => cidFilePath(folder.path, run, 'file');

test('a file is written completely, in the folder of its run, for its owner only', async () => {
  const path = pathOf('whole');
  expect(path).toBe(join(runFolder(folder.path, 'whole'), 'file.cids'));
  expect(await downloadedBytes(path)).toBe(0);
  expect(await appendStream(path, streamOf(['abc', '', 'defg']).stream, NO_LIMITS)).toEqual({
    bytes: 7,
    ended: true,
  });
  expect(await readFile(path, 'utf8')).toBe('abcdefg');
  expect(await downloadedBytes(path)).toBe(7);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(runFolder(folder.path, 'whole'))).mode & 0o777).toBe(0o700);
});

test('it continues where the previous step ended, even if that one was interrupted', async () => {
  const path = pathOf('resumed');
  const cut = streamOf(['abc', 'de'], new Error('the download broke off'));
  await expect(appendStream(path, cut.stream, NO_LIMITS)).rejects.toThrow('the download broke off');
  expect(await downloadedBytes(path)).toBe(5);
  expect(await appendStream(path, streamOf(['fg']).stream, NO_LIMITS)).toEqual({ bytes: 2, ended: true });
  expect(await readFile(path, 'utf8')).toBe('abcdefg');
});

test('it stops once enough bytes have come, and closes the stream', async () => {
  const path = pathOf('bytes');
  const { seen, stream } = streamOf(['abc', 'def', 'ghi']);
  expect(await appendStream(path, stream, { ...NO_LIMITS, maxBytes: 4 })).toEqual({ bytes: 6, ended: false });
  expect(seen).toEqual({ read: 2, closed: true });
  expect(await downloadedBytes(path)).toBe(6);
});

test('it stops once the time is over, with what has come', async () => {
  const path = pathOf('time');
  const { seen, stream } = streamOf(['abc', 'def']);
  expect(await appendStream(path, stream, { ...NO_LIMITS, maxMs: 0 })).toEqual({ bytes: 3, ended: false });
  expect(seen).toEqual({ read: 1, closed: true });
});

test('it stops as soon as more comes than was announced, and writes nothing of it', async () => {
  const path = pathOf('longer');
  const { seen, stream } = streamOf(['abc', 'def', 'ghi']);
  const refused = appendStream(path, stream, { ...NO_LIMITS, announced: 5 });
  await expect(refused).rejects.toMatchObject({ code: 'DV_FILE_BYTES_WRONG' });
  expect(seen).toEqual({ read: 2, closed: true });
  expect(await downloadedBytes(path)).toBe(3);
});

test('a file without content replaces what is there', async () => {
  const path = pathOf('nothing');
  await appendStream(path, streamOf(['abc']).stream, NO_LIMITS);
  await createEmpty(path);
  expect(await downloadedBytes(path)).toBe(0);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('the disk must have room for the rest of the file and for half of it again', async () => {
  const path = pathOf('room');
  const { bavail, bsize } = await statfs(folder.path);
  const free = bavail * bsize;
  await expectRoom(path, 65, 65);
  // Others write to this disk meanwhile, so the numbers are far from the limit.
  await expectRoom(path, Math.floor(free / 4), Math.floor(free / 4));
  await expect(expectRoom(path, free, free)).rejects.toMatchObject({
    code: 'DV_DISK_FULL',
    class: 'retryable',
    message: expect.stringMatching(
      /^The CID file and its comparison need [\d,]+ MB in TEMP_DIR, .* MB free\.$/,
    ) as string,
  });
  // What is already there needs no more room, but the comparison does.
  await expect(expectRoom(path, free * 4, 0)).rejects.toMatchObject({ code: 'DV_DISK_FULL' });
});

test('an empty file is accepted', async () => {
  const path = pathOf('empty');
  expect(await appendStream(path, streamOf([]).stream, NO_LIMITS)).toEqual({ bytes: 0, ended: true });
  expect((await stat(path)).size).toBe(0);
});

test("a run's folder is removed with all that is in it, as often as asked, and no other run's is", async () => {
  await appendStream(pathOf('gone'), streamOf(['a']).stream, NO_LIMITS);
  await appendStream(pathOf('stays'), streamOf(['a']).stream, NO_LIMITS);
  await removeRunFolder(folder.path, 'gone');
  await removeRunFolder(folder.path, 'gone');
  await expect(stat(runFolder(folder.path, 'gone'))).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await downloadedBytes(pathOf('gone'))).toBe(0);
  expect(await downloadedBytes(pathOf('stays'))).toBe(1);
});
