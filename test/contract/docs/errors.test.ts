import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const CODE = /DV_[A-Z_0-9]+/g;

function codesIn(text: string): string[] {
  return text.match(CODE) ?? [];
}

/** Each code of the sources with one of the files that has it. */
function codesOfSources(): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of ['src', 'tasks', 'migrations']) {
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|sql)$/.test(path)) continue;
      const file = join(folder, path);
      for (const code of codesIn(readFileSync(join(root, file), 'utf8'))) found.set(code, file);
    }
  }
  return found;
}

const doc = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8');
const rows = doc
  .split('\n')
  .filter((line) => line.startsWith('| `DV_'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test('docs/reference/errors.md has every code of the sources', () => {
  const documented = new Set(rows.map(([code = '']) => code.replaceAll('`', '')));
  const sources = codesOfSources();
  expect(sources.size).toBeGreaterThan(70);
  const missing = [...sources].filter(([code]) => !documented.has(code));
  expect(missing.map(([code, file]) => `${code} (${file})`)).toEqual([]);
});

test('docs/reference/errors.md names no code that no source has', () => {
  const sources = codesOfSources();
  expect(codesIn(doc).filter((code) => !sources.has(code))).toEqual([]);
});

test('each row is whole: one code, once; class, place, meaning and what to do', () => {
  for (const row of rows) {
    expect(row, row[0]).toHaveLength(5);
    expect(row[0]).toMatch(/^`DV_[A-Z_0-9]+`$/);
    expect(['usage', 'retryable', 'not retryable', 'rate limited'], row[0]).toContain(row[1]);
    for (const cell of row.slice(2)) expect(cell, row[0]).not.toBe('');
  }
  const codes = rows.map(([code]) => code);
  expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
});
