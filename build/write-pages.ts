import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cliPage } from './cli-page.ts';
import { settingsPage } from './settings-page.ts';

/** The generated pages of docs/reference; a test compares them with what is in the repository. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'docs/reference/settings.md': settingsPage,
  'docs/reference/cli.md': cliPage,
};

/** `npm run docs`: writes the pages that differ. */
export async function writePages(root: string): Promise<string[]> {
  const written: string[] = [];
  for (const [path, page] of Object.entries(PAGES)) {
    const before = await readFile(join(root, path), 'utf8').catch(() => '');
    if (before === page()) continue;
    await writeFile(join(root, path), page());
    written.push(path);
  }
  return written;
}

if (import.meta.main) {
  const written = await writePages(join(import.meta.dirname, '..'));
  console.log(
    written.length === 0 ? 'The generated pages are up to date.' : `Written: ${written.join(', ')}`,
  );
}
