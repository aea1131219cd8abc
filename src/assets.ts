import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getAsset, isSea } from 'node:sea';

// A function, because import.meta.url is not usable inside the single executable.
const onDisk = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** The text of a file that the program ships with (`proto/bridge.proto`), by its path in the repository. */
export function readAsset(path: string): string {
  return isSea() ? getAsset(path, 'utf8') : readFileSync(onDisk(path), 'utf8');
}

/**
 * The sorted paths, for readAsset, of the files directly in a folder of the repository (`migrations`). A folder's
 * README is for people and not an asset.
 */
export function listAssets(prefix: string): string[] {
  const folder = prefix.endsWith('/') ? prefix : `${prefix}/`;
  if (isSea()) {
    const all = JSON.parse(getAsset('assets.json', 'utf8')) as string[];
    return all.filter((path) => path.startsWith(folder)).sort();
  }
  return readdirSync(onDisk(folder), { withFileTypes: true })
    .filter((file) => file.isFile() && !file.name.endsWith('.md'))
    .map((file) => `${folder}${file.name}`)
    .sort();
}
