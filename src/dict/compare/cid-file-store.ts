import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a run keeps its temporary files; the folder goes with the run. */
export function runFolder(tempDir: string, runId: string): string {
  return join(tempDir, runId);
}

/** Where a downloaded CID file lies, named by its row in dict.cid_files. */
export function cidFilePath(tempDir: string, runId: string, fileRow: string): string {
  return join(runFolder(tempDir, runId), `${fileRow}.cids`);
}

/** Removes all temporary files of a run; it may have none. */
export async function removeRunFolder(tempDir: string, runId: string): Promise<void> {
  await rm(runFolder(tempDir, runId), { recursive: true, force: true });
}

/** How much of a CID file is here already; 0 when nothing is, as on another machine than the one that began it. */
export async function downloadedBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/**
 * Appends a stream to a CID file until the stream ends, `maxBytes` have come or `maxMs` have passed; synced to disk, so
 * that what a later step counts on is there after a crash. Returns the bytes appended and whether the stream ended.
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
