import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../../..');

/** The names of all crash points, found in the sources: a new one is exercised from its first day. */
export function crashPoints(): string[] {
  const files = ['src', 'tasks'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(ROOT, folder, name)),
  );
  const names = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\bcrashPoint\(\s*'([^']+)'/g)].map((match) => match[1] ?? ''),
  );
  if (new Set(names).size !== names.length) throw new Error('two crash points have the same name');
  return names;
}
