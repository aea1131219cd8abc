import { programOf, runCli } from '../src/cli/program.ts';
import { compare } from './compare/benchmark.ts';
import { engine } from './engine/benchmark.ts';
import { night } from './night/benchmark.ts';
import { outbox } from './outbox/benchmark.ts';
import { repair } from './repair/benchmark.ts';
import { trigger } from './trigger/benchmark.ts';
import { vsync } from './vsync/benchmark.ts';

/** `npm run bench -- NAME [flags]`: ours beside what one would use instead, in one run, on the same data. */
const program = programOf(
  'bench',
  'Measures ours beside what one would use instead, alternately, in one run, on the same data.',
  [compare(), vsync(), trigger(), repair(), night(), outbox(), engine()],
);
process.exitCode = await runCli(process.argv.slice(2), program);
