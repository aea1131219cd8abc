import type { Command } from 'commander';
import { readDeadlines } from '../../dict/vsync/deadline.ts';
import { readWarnings } from '../../dict/vsync/warnings.ts';
import { readRetries, type Retry } from '../../dict/vsync/retries.ts';
import { CLOSED_STATUSES, countPoisoned, listRuns, OPEN_STATUSES, type RunView } from '../../engine/index.ts';
import { machines } from '../../workflows/index.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions, oneOf, wholeNumber } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { warningLine } from '../output/warning-line.ts';
import { formatDuration, table, formatTime } from '../output/format.ts';

interface ListOptions extends CommonOptions {
  status?: string;
  machine?: string;
  limit: number;
}

const STATUSES = [...OPEN_STATUSES, ...CLOSED_STATUSES];
const MACHINES = machines.map(({ name }) => name);

/** `dict-vsync list`: lists runs. */
export function list(): Command {
  return command('list', 'Lists runs, newest first.', [
    'list',
    'list --status WAITING',
    'list --machine reconciliation --status FAILED --json',
  ])
    .option(
      '--status <S>',
      `one of ${STATUSES.join(', ')}`,
      oneOf('status', STATUSES, (s) => s.toUpperCase()),
    )
    .option('--machine <M>', `one of ${MACHINES.join(', ')}`, oneOf('machine', MACHINES))
    .option('--limit <N>', 'show at most N runs', wholeNumber('--limit', 1, 100_000), 100)
    .action(async ({ status, machine, limit, json }: ListOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const runs = await listRuns(pool, { status, machine, limit });
        const deadlines = await readDeadlines(pool);
        const warnings = await readWarnings(pool);
        const retries = await readRetries(pool);
        const poisoned = await countPoisoned(pool);
        printAnswer({ json }, { runs, deadlines, warnings, retries, poisoned }, () =>
          [
            ...warnings.map(warningLine),
            ...poisoned.map(
              ({ machine: which, count }) =>
                `Poisoned: ${count} of ${which}, because three workers died in them (--status POISONED).`,
            ),
            ...retries.map(showRetry),
            show(runs),
          ].join('\n'),
        );
      });
    });
}

function showRetry({ participant, keyType, retry, reason, dueAt }: Retry): string {
  return `Automatic retry ${retry} of ${participant} ${keyType} at ${formatTime(dueAt)}: ${reason}`;
}

function show(runs: readonly RunView[]): string {
  if (runs.length === 0) return 'No run matches.';
  return table(
    ['run', 'workflow key', 'status', 'state', 'started', 'took', 'waits for, or error'],
    runs.map((run) => [
      run.id,
      run.workflowKey,
      run.status,
      run.state,
      `${formatTime(run.createdAt)}${run.startedBy === 'retry' ? ' by retry' : ''}`,
      formatDuration(run.seconds),
      run.waitsFor ?? run.errorCode ?? '',
    ]),
  );
}
