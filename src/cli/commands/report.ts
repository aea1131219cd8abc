import { once } from 'node:events';
import type { Command } from 'commander';
import type { Pool } from 'pg';
import { divergencesCsv } from '../../dict/log/divergence-csv.ts';
import { hasComparison, readDivergenceReport, reportMissing } from '../../dict/log/divergence-report.ts';
import { findRun, listRuns } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions, wholeNumber } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { maybeOne } from '../../errors/rows.ts';
import { fullReport } from '../output/report-text.ts';
import { approveCommand, waitsForPerson } from '../run-queries.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

interface ReportOptions extends CommonOptions {
  csv?: boolean;
  round?: number;
}

/** `dict-vsync report`: what a reconciliation found, for the person who approves. */
export function report(): Command {
  return command(
    'report',
    'Reports what a reconciliation found, by kind, day and branch, with a sample of the keys and the planned repair.',
    [
      'report reconciliation:12345678:CPF',
      'report 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --csv > divergences.csv',
    ],
  )
    .argument('<RUN>', "the run's id or workflow key")
    .option('--csv', 'print every divergence as a line of CSV (of all comparisons, or of --round)')
    .option(
      '--round <N>',
      'report this comparison (default: the last one)',
      wholeNumber('--round', 1, 1_000_000),
    )
    .action(async (name: string, options: ReportOptions) => {
      if (options.csv === true && options.json === true) {
        throw new DvError('DV_USAGE', 'Give --csv or --json, not both.');
      }
      await withDatabase({}, async ({ pool }) => {
        const id = await findReported(pool, name);
        if (options.csv === true) await printCsv(pool, id, options.round);
        else await printReport(pool, id, options);
      });
    });
}

/** The run. It may have been removed by retention: its report is kept longer. */
async function findReported(pool: Pool, name: string): Promise<string> {
  try {
    return await findRun(pool, name);
  } catch (error) {
    if (!UUID.test(name) || !(await hasComparison(pool, name))) throw error;
    return name;
  }
}

async function printReport(pool: Pool, id: string, options: ReportOptions): Promise<void> {
  const found = await readDivergenceReport(pool, id, options.round);
  // There is no run if retention has removed it. Its report is kept longer.
  const run = maybeOne(await listRuns(pool, { ids: [id] }));
  const approve = run !== undefined && waitsForPerson(run) ? await approveCommand(pool, id) : null;
  printAnswer(options, { report: found, approve }, () =>
    [
      fullReport(found),
      ...(approve === null
        ? []
        : [
            `To repair what it found:         ${approve}\nTo leave the keys as they are:  ${approve.replace('approve', 'reject')}`,
          ]),
    ].join('\n\n'),
  );
}

/** Waits for the reader of stdout, because there may be many lines. */
async function printCsv(pool: Pool, id: string, round: number | undefined): Promise<void> {
  if (!(await hasComparison(pool, id, round))) throw reportMissing(id, round);
  for await (const part of divergencesCsv(pool, id, round)) {
    if (!process.stdout.write(part)) await once(process.stdout, 'drain');
  }
}
