import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

const SKIPPED = new Set(['node_modules', 'dist', 'coverage']);

/** The path of every Markdown file in the repository. */
export function markdownFiles(folder = ''): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((file) => {
    const path = join(folder, file.name);
    if (file.isDirectory())
      return SKIPPED.has(file.name) || file.name.startsWith('.') ? [] : markdownFiles(path);
    return file.name.endsWith('.md') ? [path] : [];
  });
}

export function readMarkdown(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

const blank = (text: string) => text.replaceAll(/[^\n]/g, ' ');

/** The text without its code blocks; every line keeps its number. */
export function withoutBlocks(text: string): string {
  return text.replaceAll(/^ *```.*?^ *```$/gms, blank);
}

/** What a reader takes for prose: no code, no comments, no addresses. Every line keeps its number. */
export function prose(text: string): string {
  return withoutBlocks(text)
    .replaceAll(/<!-- words: off -->.*?<!-- words: on -->/gs, blank)
    .replaceAll(/<!--.*?-->/gs, blank)
    .replaceAll(/`[^`]*`/g, blank)
    .replaceAll(/\]\([^)]*\)/g, blank);
}
