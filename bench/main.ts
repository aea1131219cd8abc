import { Command } from 'commander';
import { compare } from './compare/benchmark.ts';
import { engine } from './engine/benchmark.ts';
import { night } from './night/benchmark.ts';
import { repair } from './repair/benchmark.ts';
import { trigger } from './trigger/benchmark.ts';
import { vsync } from './vsync/benchmark.ts';

/** `npm run bench -- NAME [flags]`: ours beside what one would take instead, in one run, on the same data. */
await new Command('bench')
  .description('Measures ours beside what one would take instead, alternately, in one run, on the same data.')
  .addCommand(compare())
  .addCommand(vsync())
  .addCommand(trigger())
  .addCommand(repair())
  .addCommand(night())
  .addCommand(engine())
  .parseAsync();
