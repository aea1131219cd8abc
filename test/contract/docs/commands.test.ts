import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';
import { SETTING_NAMES } from '../../../src/settings.ts';
import { markdownFiles, readMarkdown, ROOT } from './markdown.ts';

const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};
const commands = createProgram().commands.map((command) => command.name());

/** The text in backticks or in a code block. */
const codeOf = (text: string): string =>
  [...text.matchAll(/```.*?```|`[^`]*`/gs)].map(([code]) => code).join('\n');

test('every setting has its row', () => {
  const page = readMarkdown('docs/reference/settings.md');
  for (const name of SETTING_NAMES) expect(page).toContain(`| \`${name}\` |`);
});

test('README.md names the two first commands', () => {
  expect(readMarkdown('README.md')).toContain('npm ci && npm run demo\nnpm test\n');
  expect(readMarkdown('README.md').split('\n').length).toBeLessThanOrEqual(151);
});

test.each(markdownFiles())('the npm scripts and the commands that %s names exist', (path) => {
  const code = codeOf(readMarkdown(path));
  const named = [...code.matchAll(/npm run ([a-z:-]+)/g)].map(([, name = '']) => name);
  expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  // At the start of a line or code span, after a shell prompt, or after `--` of npm.
  const ours = [...code.matchAll(/(?:^|[`$]|exec worker|run dict-vsync --) *dict-vsync ([a-z-]+)/gm)];
  expect(ours.map(([, name = '']) => name).filter((name) => !commands.includes(name))).toEqual([]);
});
