import type { Command } from 'commander';
import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';
import { readUndo, type UndoSummary } from '../../dict/repair/undo.ts';
import {
  findRun,
  listRuns,
  type RunView,
  storeMachines,
  translateDatabaseErrors,
} from '../../engine/index.ts';
import { machines } from '../../workflows/index.ts';
import { printAnswer, printNote } from '../output/print.ts';
import { byOption, command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { follow } from '../follow-runs.ts';
import { formatCount } from '../output/format.ts';
import { warnWithoutWorker } from '../run-queries.ts';

interface UndoOptions extends CommonOptions {
  by: string;
  reason?: string;
  wait?: boolean;
}

/** `dict-vsync undo`: puts back what a reconciliation changed. */
export function undo(): Command {
  return command(
    'undo',
    'Puts back the keys that a closed reconciliation changed, except keys that were changed again since. ' +
      'The keys put back are held: no reconciliation changes them until they are released.',
    [
      'undo 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --reason "DICT had the wrong owner" --wait',
      'undo reconciliation:12345678:CPF --by ana --json',
    ],
  )
    .argument('<RUN>', "the reconciliation's id or workflow key (the newest run with that key)")
    .addOption(byOption())
    .option('--reason <TEXT>', 'why; kept for the auditor')
    .option('--wait', 'follow the undo until it ends; exit 0 if it processed all keys, otherwise 1')
    .action(async (name: string, options: UndoOptions) => {
      await withDatabase({}, async ({ pool }) => {
        // A worker stores the machines too, but perhaps no worker has run yet.
        await storeMachines(pool, machines);
        const id = await startUndo(pool, await findRun(pool, name), options);
        await warnWithoutWorker(pool);
        if (options.wait === true) {
          await follow(pool, [id], (run) =>
            printNote(`${run.id}  ${run.workflowKey}  ${run.status}  ${run.state}`),
          );
        }
        const run = one(await listRuns(pool, { ids: [id] }));
        const summary = await readUndo(pool, id);
        printAnswer(options, { run, undo: summary }, () => show(id, run, summary));
        if (options.wait === true && run.status !== 'COMPLETED') process.exitCode = 1;
      });
    });
}

async function startUndo(pool: Pool, run: string, { by, reason }: UndoOptions): Promise<string> {
  return translateDatabaseErrors(async () => {
    const { rows } = await pool.query<{ id: string }>('select dict.start_undo($1, $2, $3) as id', [
      run,
      by,
      reason ?? null,
    ]);
    return one(rows).id;
  });
}

function show(id: string, run: RunView, summary: UndoSummary | undefined): string {
  if (run.closedAt === null || summary === undefined) {
    return `Undo ${id} is started. Follow it with \`dict-vsync describe ${id}\`.`;
  }
  return [
    `Undo ${id} is ${run.status}: ${formatCount(summary.keysUndone)} keys put back, ${formatCount(summary.keysLeft)} not put back because they were changed again since.`,
    `The keys put back are held. To let reconciliations repair them again, run \`dict-vsync release --run ${id}\`.`,
  ].join('\n');
}
