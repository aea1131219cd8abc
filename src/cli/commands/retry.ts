import type { Command } from 'commander';
import { findRun, retryRun } from '../../engine/index.ts';
import { printAnswer } from '../output/print.ts';
import { byOption, command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { warnWithoutWorker } from '../run-queries.ts';

interface RetryOptions extends CommonOptions {
  by: string;
  reason?: string;
}

/** `dict-vsync retry`: opens a failed run again. */
export function retry(): Command {
  return command('retry', 'Opens a FAILED or POISONED run again, in the state in which it failed.', [
    'retry reconciliation:12345678:CPF',
    'retry 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --by ana --reason "the Bridge is back"',
  ])
    .argument('<RUN>', "the run's id or workflow key")
    .addOption(byOption())
    .option('--reason <TEXT>', 'why; kept in the history')
    .action(async (name: string, options: RetryOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const id = await findRun(pool, name);
        const state = await retryRun(pool, id, options.by, options.reason ?? null);
        printAnswer(options, { id, state }, () => `Run ${id} is open again and continues in ${state}.`);
        await warnWithoutWorker(pool);
      });
    });
}
