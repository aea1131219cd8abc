import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cliPage } from './docs/cli.ts';
import { errorsPage } from './docs/errors.ts';
import type { Page } from './docs/page.ts';
import { settingsPage } from './docs/settings.ts';

/**
 * `npm run docs`: writes the pages of docs/reference that are generated from the program. With `--check` it writes
 * nothing, and exits with 1 if a page is not up to date.
 */

export const pages: readonly Page[] = [settingsPage, errorsPage, cliPage];

const root = join(import.meta.dirname, '..');

/** The pages that are not up to date. */
export async function stalePages(): Promise<Page[]> {
  const fresh = await Promise.all(
    pages.map(
      async ({ file, text }) => (await readFile(join(root, file), 'utf8').catch(() => '')) === text(),
    ),
  );
  return pages.filter((_, place) => fresh[place] !== true);
}

if (import.meta.main) {
  const stale = await stalePages();
  if (process.argv.includes('--check')) {
    for (const { file } of stale) console.error(`${file} is not up to date. Run npm run docs.`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const { file, text } of stale) {
      await writeFile(join(root, file), text());
      console.log(`${file} is written.`);
    }
  }
}
