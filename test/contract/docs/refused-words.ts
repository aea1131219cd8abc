import { readMarkdown } from './markdown.ts';

/** The list is the glossary's table. */
const [, section = ''] = readMarkdown('docs/contributing/glossary.md').split('## Refused words\n');

export const refused = [...section.matchAll(/^\| ([^|`]+) \| .+ \|$/gm)]
  .flatMap(([, words = '']) => words.split(', '))
  .filter((word) => word !== 'refused' && !word.startsWith('---'));

export const refusedWords = new RegExp(
  `(?<![\\w-])(${refused.map((word) => word.replaceAll(' ', '[\\s*/]+')).join('|')})(?![\\w-])`,
  'gi',
);
