import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { stalePages } from '../../../build/docs.ts';
import { SECTIONS } from '../../../src/errors/catalogue.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const CODE = /DV_[A-Z_0-9]+/g;
const CATALOGUE = /^src\/errors\/catalogue/;

/** Each code in the sources, except the catalogue, with one of the files that use it. */
function codesOfSources(): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of ['src', 'tasks', 'migrations', 'bin']) {
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const file = join(folder, path);
      if (!/\.(ts|js|sql)$/.test(path) || CATALOGUE.test(file)) continue;
      for (const code of readFileSync(join(root, file), 'utf8').match(CODE) ?? []) found.set(code, file);
    }
  }
  return found;
}

const codes = SECTIONS.flatMap(({ errors }) => Object.keys(errors));

test('the catalogue has every code of the sources', () => {
  const sources = codesOfSources();
  expect(sources.size).toBeGreaterThan(70);
  const missing = [...sources].filter(([code]) => !codes.includes(code));
  expect(missing.map(([code, file]) => `${code} (${file})`)).toEqual([]);
});

test('every code of the catalogue is used, and is listed once', () => {
  const sources = codesOfSources();
  expect(codes.filter((code) => !sources.has(code))).toEqual([]);
  expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
});

test('every text of the catalogue is whole sentences, and wrong usage is never retried', () => {
  for (const { errors } of SECTIONS) {
    for (const [code, entry] of Object.entries(errors)) {
      for (const text of [entry.where, entry.meaning, entry.remedy])
        expect(text, code).toMatch(/^[A-Z`].*\.$/);
      if (entry.exit === 2) expect(entry.class, code).toBe('not_retryable');
    }
  }
});

test('docs/reference has the pages that are generated now', async () => {
  expect((await stalePages()).map(({ file }) => file)).toEqual([]);
});
