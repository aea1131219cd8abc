import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listAssets } from '../../../src/assets.ts';
import { readFunctionFiles } from '../../../src/database/migrate/function-files.ts';
import { ROOT } from './markdown.ts';

/** The longest line of SQL, without its texts, which cannot be broken. */
const WIDTH = 140;
const paths = [
  ...listAssets('migrations').filter((path) => path.endsWith('.sql')),
  ...Object.keys(readFunctionFiles()),
];
/** Keywords that are never names here. */
const KEYWORDS =
  /\b(SELECT|INSERT|UPDATE|DELETE|CREATE|TABLE|FUNCTION|RETURNS|BEGIN|END|WHERE|FROM|DECLARE|PERFORM)\b/;

const withoutTexts = (sql: string) => sql.replaceAll(/'(?:''|[^'])*'/gs, "''").replaceAll(/--[^\n]*/g, '');

test.each(paths)('%s has the form of the others', (path) => {
  const text = readFileSync(join(ROOT, path), 'utf8');
  expect(text.endsWith('\n') && !text.endsWith('\n\n'), 'ends with one line end').toBe(true);
  const lines = text.split('\n');
  expect(
    lines.filter((line) => /\s$|\t/.test(line)),
    'no blank at the end of a line, no tab',
  ).toEqual([]);
  const long = lines.filter((line) => line.replaceAll(/'(?:''|[^'])*'?/g, "''").length > WIDTH);
  expect(long, `no line over ${WIDTH} characters, its texts apart`).toEqual([]);
  expect(withoutTexts(text), 'keywords are in lower case').not.toMatch(KEYWORDS);
  expect(
    lines.filter((line) => /^ +/.exec(line)?.[0].length === 1),
    'indented by two',
  ).toEqual([]);
});
