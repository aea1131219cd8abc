import { expect, test } from 'vitest';
import { markdownFiles, prose, readMarkdown } from './markdown.ts';

/** The list is the glossary's table. */
const [, section = ''] = readMarkdown('docs/contributing/glossary.md').split('## Refused words\n');
const refused = [...section.matchAll(/^\| ([^|`]+) \| .+ \|$/gm)]
  .flatMap(([, words = '']) => words.split(', '))
  .filter((word) => word !== 'refused' && !word.startsWith('---'));

const pattern = new RegExp(
  `(?<![\\w-])(${refused.map((word) => word.replaceAll(' ', '\\s+')).join('|')})(?![\\w-])`,
  'gi',
);

/** Made from the sources, whose texts are not read by this test; errors.md is a table of the sources' messages. */
const isGenerated = (path: string) =>
  path === 'docs/reference/errors.md' || readMarkdown(path).includes('<!-- Generated from');

test('the glossary refuses words, and the test notices them', () => {
  expect(refused.length).toBeGreaterThan(40);
  expect('Core-Dict is told at\nonce.'.match(pattern)).toEqual(['told', 'at\nonce']);
  expect('a gateway that holds `way`, halfway'.match(pattern)).toEqual(['holds', 'way']);
  expect(prose('`way` [text](ways/in.md)\n<!-- told -->').match(pattern)).toBeNull();
});

test.each(markdownFiles().filter((path) => !isGenerated(path)))('%s uses none of them', (path) => {
  const found = [...prose(readMarkdown(path)).matchAll(pattern)].map(({ 0: word, index, input }) => ({
    line: input.slice(0, index).split('\n').length,
    word,
  }));
  expect(found).toEqual([]);
});
