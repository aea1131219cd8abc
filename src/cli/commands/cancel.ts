import type { Command } from 'commander';
import { cancelRun, findRun } from '../../engine/index.ts';
import { printAnswer } from '../output/print.ts';
import { byOption, command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';

interface CancelOptions extends CommonOptions {
  by: string;
  reason?: string;
}

/** `dict-vsync cancel`: ends an open run. */
export function cancel(): Command {
  return command('cancel', 'Cancels an open run, immediately or at the end of its current step.', [
    'cancel reconciliation:12345678:CPF',
    'cancel 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --by ana --reason "started by mistake"',
  ])
    .argument('<RUN>', "the run's id or workflow key")
    .addOption(byOption())
    .option('--reason <TEXT>', 'why; kept in the history')
    .action(async (name: string, options: CancelOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const id = await findRun(pool, name);
        const status = await cancelRun(pool, id, options.by, options.reason ?? null);
        printAnswer(options, { id, status }, () =>
          status === 'CANCELLED'
            ? `Run ${id} is cancelled.`
            : `Run ${id} is running a step. It is cancelled at the end of this step.`,
        );
      });
    });
}
