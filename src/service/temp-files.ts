import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';

/** No run works on its files longer. */
const STRAY_MS = 7 * 86_400_000;

/** Removes temporary folders of runs that have ended: those of a cancelled run, or of a crash; and old ones of no run. */
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
    // Of a run that retention removed, or of another installation that shares the directory.
    if (known.get(id) ?? (await isOld(folder))) await rm(folder, { recursive: true, force: true });
  }
}

async function isOld(folder: string): Promise<boolean> {
  const found = await stat(folder).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > STRAY_MS;
}
