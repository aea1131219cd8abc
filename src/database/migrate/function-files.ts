import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The text of the SQL functions and views, by the path of the file that defines each (`src/engine/sql/sweep.sql`), in
 * the order of the paths. The bundle and the single executable contain them as text: build/bundle.ts replaces this
 * module.
 */
export function readFunctionFiles(): Record<string, string> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /(^|\/)sql\/[^/]+\.sql$/.test(path))
    .sort();
  // A checkout may have converted the line ends.
  return Object.fromEntries(
    files.map((path) => [`src/${path}`, readFileSync(`${root}${path}`, 'utf8').replaceAll('\r\n', '\n')]),
  );
}
