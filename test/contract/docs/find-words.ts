import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { refusedWords } from './refused-words.ts';
import { textsOf } from './source-texts.ts';

// `node test/contract/docs/find-words.ts [PATH …]`: lists the refused words in the sources there.
const paths = execFileSync('git', ['ls-files', '--', ...process.argv.slice(2)], { encoding: 'utf8' }).split(
  '\n',
);
for (const path of paths.filter((name) => /\.(ts|sql)$/.test(name) && name !== 'schema.sql')) {
  for (const { line, text } of textsOf(path, readFileSync(path, 'utf8'))) {
    for (const [word] of text.matchAll(refusedWords)) {
      process.stdout.write(`${path}:${line}  ${word}: ${text.slice(0, 140).replaceAll(/\s+/g, ' ')}\n`);
    }
  }
}
