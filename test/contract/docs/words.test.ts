import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { markdownFiles, prose, readMarkdown, ROOT } from './markdown.ts';
import { refused, refusedWords as pattern } from './refused-words.ts';
import { textsOf } from './source-texts.ts';

/** Made from the sources, whose texts are not read by this test; errors.md is a table of the sources' messages. */
const isGenerated = (path: string) =>
  path === 'docs/reference/errors.md' || readMarkdown(path).includes('<!-- Generated from');

test('the glossary refuses words, and the test notices them', () => {
  expect(refused.length).toBeGreaterThan(40);
  expect('Core-Dict is told at\nonce.'.match(pattern)).toEqual(['told', 'at\nonce']);
  expect('a gateway that holds `way`, halfway'.match(pattern)).toEqual(['holds', 'way']);
  expect(prose('`way` [text](ways/in.md)\n<!-- told -->').match(pattern)).toBeNull();
});

test.each(markdownFiles().filter((path) => !isGenerated(path)))(
  '%s uses none of the refused words',
  (path) => {
    const found = [...prose(readMarkdown(path)).matchAll(pattern)].map(({ 0: word, index, input }) => ({
      line: input.slice(0, index).split('\n').length,
      word,
    }));
    expect(found).toEqual([]);
  },
);

test('no comment and no message in the sources uses them', () => {
  const files = execFileSync('git', ['ls-files', '*.ts', '*.sql'], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    // schema.sql is generated, and this file has examples of them.
    .filter((path) => path !== '' && path !== 'schema.sql' && !import.meta.filename.endsWith(path));
  expect(files.length).toBeGreaterThan(500);
  const found = files.flatMap((path) =>
    textsOf(path, readFileSync(join(ROOT, path), 'utf8')).flatMap(({ line, text }) =>
      [...text.matchAll(pattern)].map(([word]) => `${path}:${line} ${word}`),
    ),
  );
  expect(found).toEqual([]);
});
