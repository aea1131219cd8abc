import { mkdir, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DvError } from '../../errors/dv-error.ts';

/** The folder of a run's temporary files; it is removed when the run ends. */
export function runFolder(tempDir: string, runId: string): string {
  return join(tempDir, runId);
}

/** The path of a downloaded CID file, which is named by its row in dict.cid_files. */
export function cidFilePath(tempDir: string, runId: string, fileRow: string): string {
  return join(runFolder(tempDir, runId), `${fileRow}.cids`);
}

/** Removes all temporary files of a run, if there are any. */
export async function removeRunFolder(tempDir: string, runId: string): Promise<void> {
  await rm(runFolder(tempDir, runId), { recursive: true, force: true });
}

/**
 * How many bytes of a CID file are on this machine; 0 if there is no file, as after the run moved to another machine.
 */
export async function downloadedBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/** Creates the file with nothing in it, for a set of no CIDs. */
export async function createEmpty(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(path, 'w', 0o600);
  await file.close();
}

/**
 * Checks that the disk has room for the `missing` bytes of a file and for its comparison, whose temporary file has 32
 * bytes for each line of 65, so at most half the file's size. Error: DV_DISK_FULL.
 */
export async function expectRoom(path: string, fileBytes: number, missing: number): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = await statfs(folder);
  const needed = missing + Math.ceil(fileBytes / 2);
  if (bavail * bsize >= needed) return;
  throw new DvError(
    'DV_DISK_FULL',
    `The CID file and its comparison need ${megabytes(needed)} MB in TEMP_DIR, and the disk of ${dirname(folder)} has ${megabytes(bavail * bsize)} MB free.`,
  );
}

function megabytes(bytes: number): string {
  return Math.ceil(bytes / 1_000_000).toLocaleString('en');
}

/**
 * Appends a stream to a CID file until the stream ends, `maxBytes` have arrived or `maxMs` have passed. The file is
 * synced to disk, so that after a crash it contains all that a later step relies on. Returns the bytes appended and
 * whether the stream ended.
 * Errors: DV_FILE_BYTES_WRONG as soon as more than the `announced` bytes arrive; DV_DISK_FULL.
 */
export async function appendStream(
  path: string,
  stream: AsyncIterable<Uint8Array>,
  limits: { maxBytes: number; maxMs: number; announced: number },
): Promise<{ bytes: number; ended: boolean }> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(path, 'a', 0o600);
  const until = performance.now() + limits.maxMs;
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      bytes += chunk.byteLength;
      if (bytes > limits.announced) {
        throw new DvError(
          'DV_FILE_BYTES_WRONG',
          'The CID file has more bytes than DICT announced. The download was stopped and nothing of it was used.',
        );
      }
      await file.appendFile(chunk);
      if (bytes >= limits.maxBytes || performance.now() >= until) return { bytes, ended: false };
    }
    return { bytes, ended: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    throw new DvError('DV_DISK_FULL', 'The disk of TEMP_DIR became full during the download.');
  } finally {
    await file.sync();
    await file.close();
  }
}
