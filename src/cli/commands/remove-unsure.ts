import type { Command } from 'commander';
import { one } from '../../errors/rows.ts';
import { findRun, storeMachines, translateDatabaseErrors } from '../../engine/index.ts';
import { machines } from '../../workflows/index.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount } from '../output/format.ts';
import { warnWithoutWorker } from '../run-queries.ts';

interface RemoveUnsureOptions extends CommonOptions {
  by: string;
  reason: string;
  key?: string[];
}

/** `dict-vsync remove-unsure`: decides that UNSURE keys are to be removed. */
export function removeUnsure(): Command {
  return command(
    'remove-unsure',
    'Decides that keys which a reconciliation left as UNSURE are to be removed, and starts a reconciliation. It removes them if DICT still does not have their CIDs.',
    [
      'remove-unsure reconciliation:12345678:CPF --by "Ana Souza" --reason "DICT does not have them, ticket 4711"',
      'remove-unsure 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --key +5511987654321 --by ana --reason "ticket 4711"',
    ],
  )
    .argument('<RUN>', "the reconciliation's id or workflow key (the newest run with that key)")
    .option('--key <K...>', 'only these keys; without it all that are UNSURE')
    .requiredOption('--by <NAME>', 'who decides; kept for the auditor')
    .requiredOption('--reason <TEXT>', 'why; kept for the auditor')
    .action(async (name: string, options: RemoveUnsureOptions) => {
      await withDatabase({}, async ({ pool }) => {
        // A worker stores the machines too, but perhaps no worker has run yet.
        await storeMachines(pool, machines);
        const run = await findRun(pool, name);
        const { rows } = await translateDatabaseErrors(async () =>
          pool.query<{ marked: string }>('select dict.remove_unsure($1, $2, $3, $4) as marked', [
            run,
            options.key ?? null,
            options.by,
            options.reason,
          ]),
        );
        const marked = Number(one(rows).marked);
        printAnswer(
          options,
          { marked },
          () => `${formatCount(marked)} keys will be removed by the reconciliation that is started now.`,
        );
        await warnWithoutWorker(pool);
      });
    });
}
