import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';

/** No run needs its files longer than this. */
const STRAY_MS = 7 * 86_400_000;

/**
 * Removes the temporary folders that runs left behind because they were cancelled or the process crashed, and old
 * folders without a run.
 */
export async function removeLeftFiles(pool: Pool, tempDir: string): Promise<void> {
  const folders = await readdir(tempDir).catch(() => []);
  const runs = folders.filter((name) => /^[0-9a-f-]{36}$/.test(name));
  const { rows } = await pool.query<{ id: string; closed: boolean }>(
    'select id, closed_at is not null as closed from workflow.runs where id = any ($1::uuid[])',
    [runs],
  );
  const known = new Map(rows.map(({ id, closed }) => [id, closed]));
  for (const id of runs) {
    const folder = join(tempDir, id);
    // An unknown run was removed by retention, or belongs to another installation that shares the directory.
    if (known.get(id) ?? (await isOld(folder))) await rm(folder, { recursive: true, force: true });
  }
}

async function isOld(folder: string): Promise<boolean> {
  const found = await stat(folder).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > STRAY_MS;
}
