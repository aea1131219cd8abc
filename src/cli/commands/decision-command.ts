import type { Command } from 'commander';
import {
  findRun,
  inTransaction,
  listRuns,
  type Transaction,
  translateDatabaseErrors,
} from '../../engine/index.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { one } from '../../errors/rows.ts';
import { warnWithoutWorker } from '../run-queries.ts';

export interface DecisionOptions extends CommonOptions {
  by: string;
  reason: string;
  set?: string;
}

/**
 * A command by which a person approves or rejects the frozen set of a reconciliation. `before` applies the command's
 * own options, in the transaction of the decision, and returns whether it has compared the set's hash: it may have made
 * another set of it.
 */
export function decision<O extends DecisionOptions>(
  name: 'approve' | 'reject',
  summary: string,
  done: string,
  before?: (tx: Transaction, run: string, options: O) => Promise<boolean>,
): Command {
  return command(name, summary, [
    `${name} 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --by "Ana Souza" --reason "ticket 4711"`,
    `${name} reconciliation:12345678:CPF --by ana --reason "ticket 4711" --set 9f86d081884c7d65…`,
  ])
    .argument('<RUN>', "the run's id or workflow key")
    .requiredOption('--by <NAME>', 'who decides; kept for the auditor')
    .requiredOption('--reason <TEXT>', 'why; kept for the auditor')
    .option('--set <HASH>', 'decide only if this is the hash of the frozen set (see describe)')
    .action(async (run: string, options: O) => {
      await withDatabase({}, async ({ pool }) => {
        const id = await findRun(pool, run);
        await translateDatabaseErrors(async () =>
          inTransaction(pool, async (tx) => {
            const compared = (await before?.(tx, id, options)) ?? false;
            await tx.query(`select dict.${name}_reconciliation($1, $2, $3, $4)`, [
              id,
              options.by,
              options.reason,
              compared ? null : (options.set ?? null),
            ]);
          }),
        );
        const now = one(await listRuns(pool, { ids: [id] }));
        printAnswer(options, { run: now }, () => `Run ${id} is ${done}.`);
        await warnWithoutWorker(pool);
      });
    });
}
