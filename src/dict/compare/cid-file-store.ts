import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

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

/**
 * Appends a stream to a CID file until the stream ends, `maxBytes` have arrived or `maxMs` have passed. The file is
 * synced to disk, so that after a crash it contains all that a later step relies on. Returns the bytes appended and
 * whether the stream ended.
 */
export async function appendStream(
  path: string,
  stream: AsyncIterable<Uint8Array>,
  limits: { maxBytes: number; maxMs: number },
): Promise<{ bytes: number; ended: boolean }> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  const file = await open(path, 'a', 0o600);
  const until = performance.now() + limits.maxMs;
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      await file.appendFile(chunk);
      bytes += chunk.byteLength;
      if (bytes >= limits.maxBytes || performance.now() >= until) return { bytes, ended: false };
    }
    return { bytes, ended: true };
  } finally {
    await file.sync();
    await file.close();
  }
}
