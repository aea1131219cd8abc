import { existsSync, globSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { markdownFiles, readMarkdown, ROOT, withoutBlocks } from './markdown.ts';

const files = markdownFiles();

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutBlocks(readMarkdown(path)).matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = heading.replaceAll('`', '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = plain
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let again = 1; anchors.has(anchor); again++) anchor = `${slug}-${again}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The addresses of a page's links, except those of other sites. */
function linksOf(path: string): string[] {
  const text = withoutBlocks(readMarkdown(path)).replaceAll(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, address = '']) => address)
    .filter((address) => !/^[a-z]+:/.test(address));
}

describe.each(files)('%s', (path) => {
  test('every relative link leads to a file, and its anchor to a heading', () => {
    const broken = linksOf(path).filter((address) => {
      const [file = '', anchor] = address.split('#');
      const target = file === '' ? path : normalize(join(dirname(path), file));
      if (target.startsWith('..') || !existsSync(join(ROOT, target))) return true;
      return anchor !== undefined && !anchorsOf(target).has(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('every path of this repository in backticks exists', () => {
    const paths = [
      ...readMarkdown(path).matchAll(
        /`((?:src|test|docs|tasks|migrations|bench|build|proto|bin)\/[^`\s]*)`/g,
      ),
    ].map(([, name = '']) => name);
    expect(paths.filter((name) => globSync(name, { cwd: ROOT }).length === 0)).toEqual([]);
  });
});

test('the index of the documents leads to every one of them', () => {
  const linked = new Set(
    linksOf('docs/README.md').map((address) => normalize(join('docs', address.split('#')[0] ?? ''))),
  );
  const pages = files.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md');
  expect(pages.filter((path) => !linked.has(path))).toEqual([]);
});
