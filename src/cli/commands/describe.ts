import type { Command } from 'commander';
import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';
import {
  type DivergenceReport,
  hasComparison,
  readDivergenceReport,
} from '../../dict/log/divergence-report.ts';
import { readReconciliation, type ReconciliationSummary } from '../../dict/log/reconciliation-log.ts';
import { readUndo, type UndoSummary } from '../../dict/repair/undo.ts';
import {
  readRounds,
  readSentVSyncs,
  type RoundReport,
  type SentVSyncReport,
} from '../../dict/log/run-reports.ts';
import { findRun, historyOf, type HistoryEvent, listRuns, type RunView } from '../../engine/index.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { fields, formatCount, formatDuration, table, formatTime } from '../output/format.ts';
import { shortReport } from '../output/report-text.ts';
import { approveCommand, childrenOf, waitsForPerson } from '../run-queries.ts';
import { timeline } from '../output/timeline.ts';

interface Description {
  run: RunView;
  history: HistoryEvent[];
  children: RunView[];
  /** The VSyncs that it sent, with DICT's answers. */
  sentVSyncs: SentVSyncReport[];
  reconciliation: (ReconciliationSummary & { comparisons: RoundReport[] }) | null;
  /** What it put back, if it is an undo. */
  undo: UndoSummary | null;
  /** What its last comparison found, if that has ended. */
  report: DivergenceReport | null;
  /** The command that approves the frozen set, while the run waits for it. */
  approve: string | null;
}

/** `dict-vsync describe`: a run with its history. */
export function describe(): Command {
  return command(
    'describe',
    'Shows a run: its history, what it waits for, its children, and what it found.',
    ['describe reconciliation:12345678:CPF', 'describe 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --json'],
  )
    .argument('<RUN>', "the run's id or workflow key (the open run with that key, otherwise the newest)")
    .action(async (name: string, options: CommonOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const description = await read(pool, await findRun(pool, name));
        printAnswer(options, description, () => show(description));
      });
    });
}

async function read(pool: Pool, id: string): Promise<Description> {
  const run = one(await listRuns(pool, { ids: [id] }));
  const history = await historyOf(pool, id);
  const summary = await readReconciliation(pool, id);
  return {
    run,
    history,
    children: await childrenOf(pool, history),
    sentVSyncs: await readSentVSyncs(pool, id),
    reconciliation: summary === undefined ? null : { ...summary, comparisons: await readRounds(pool, id) },
    undo: (await readUndo(pool, id)) ?? null,
    report: (await hasComparison(pool, id)) ? await readDivergenceReport(pool, id) : null,
    approve: waitsForPerson(run) ? await approveCommand(pool, id) : null,
  };
}

function show(description: Description): string {
  const { children, sentVSyncs, reconciliation, undo, report, approve } = description;
  const parts = [showRun(description.run), titled('What happened', showHistory(description.history))];
  if (sentVSyncs.length > 0) parts.push(titled('VSyncs sent to DICT', showSentVSyncs(sentVSyncs)));
  if (reconciliation !== null) parts.push(titled('Reconciliation', showReconciliation(reconciliation)));
  if (undo !== null) parts.push(titled('Undo', showUndo(undo)));
  if (report !== null) parts.push(titled('What the last comparison found', shortReport(report)));
  if (children.length > 0) parts.push(titled('Children', showChildren(children)));
  if (approve !== null) {
    const reject = approve.replace('approve', 'reject');
    parts.push(
      titled(
        'The run waits for a person',
        `To repair what it found:         ${approve}\nTo leave the keys as they are:  ${reject}`,
      ),
    );
  }
  return parts.join('\n\n');
}

function titled(title: string, text: string): string {
  return `${title}\n${text}`;
}

function showRun(run: RunView): string {
  // Automatic retries have one.
  const reason = typeof run.input['reason'] === 'string' ? run.input['reason'] : null;
  const error = run.errorCode === null ? null : `${run.errorCode}: ${run.errorMessage}`;
  return fields([
    ['run', run.id],
    ['workflow key', run.workflowKey],
    ['machine', `${run.machine}, version ${run.machineVersion}`],
    ['status', run.status],
    ['state', run.state],
    ['waits for', run.waitsFor],
    ['until', run.deadline && formatTime(run.deadline)],
    ['next step', run.wakeAt && formatTime(run.wakeAt)],
    ['attempt', run.closedAt === null && run.attempt > 0 ? `${run.attempt} of ${run.maxAttempts}` : null],
    ['error', error],
    ['failed in', run.failedState],
    ['started', `${formatTime(run.createdAt)} by ${run.startedBy}`],
    ['why', reason],
    ['ended', run.closedAt && formatTime(run.closedAt)],
    ['took', formatDuration(run.seconds)],
    ['worker', run.claimedBy],
    ['parent', run.parentId],
    ['continues', run.continuedFrom],
    ['correlation id', run.correlationId],
  ]);
}

function showHistory(history: readonly HistoryEvent[]): string {
  return table(
    ['at', 'state', 'attempt', 'result', 'then', 'took'],
    timeline(history).map((item) => [
      formatTime(item.at),
      item.state,
      item.attempt === null ? '' : String(item.attempt),
      [
        item.times > 1 ? `${item.result} (${item.times} times)` : item.result,
        ...(item.error === null ? [] : [`${item.error.code}: ${item.error.message}`]),
      ].join(' '),
      item.nextState ?? '',
      item.seconds === null ? '' : formatDuration(item.seconds),
    ]),
  );
}

function showSentVSyncs(sent: readonly SentVSyncReport[]): string {
  return table(
    ['at', 'key type', 'answer', 'keys', 'VSync', 'correlation id'],
    sent.map((row) => [
      formatTime(row.askedAt),
      row.keyType,
      row.errorCode ?? row.result ?? 'no answer yet',
      formatCount(row.entries),
      row.vsync,
      row.correlationId ?? '',
    ]),
  );
}

function showReconciliation(found: ReconciliationSummary & { comparisons: RoundReport[] }): string {
  const count = (n: number | null) => (n === null ? '' : formatCount(n));
  const counts = fields([
    ['outcome', found.outcome],
    ['reason', found.reason],
    ['CIDs in DICT only', count(found.dictOnlyCids)],
    ['CIDs local only', count(found.localOnlyCids)],
    ['keys added', count(found.keysAdded)],
    ['keys corrected', count(found.keysCorrected)],
    ['keys removed', count(found.keysRemoved)],
    ['keys registered', `${count(found.keysRegistered)} (at DICT, by a person's decision)`],
    ['keys held', `${count(found.keysHeld)} (put back by an undo, not repaired)`],
    ['keys unsure', `${count(found.keysUnsure)} (left for a person to decide: dict-vsync unsure)`],
    [
      'CIDs quarantined',
      `${count(found.quarantined)} (DICT shows no entry that can be used: dict-vsync report RUN --csv has the reasons)`,
    ],
    ['keys in flight', `${count(found.keysInFlight)} (changed since the snapshot, not repaired)`],
    ['VSync before', `${found.vsyncBefore} of ${count(found.entriesBefore)} keys`],
    ['VSync after', found.vsyncAfter && `${found.vsyncAfter} of ${count(found.entriesAfter)} keys`],
  ]);
  const comparisons = table(
    [
      'comparison',
      'at',
      'CIDs in the file',
      'in DICT only',
      'local only',
      'to be registered',
      'approved by',
      'hash of the frozen set',
    ],
    found.comparisons.map((round) => [
      String(round.round),
      formatTime(round.comparedAt ?? round.snapshotAt),
      count(round.fileCids),
      count(round.dictOnlyCids),
      count(round.localOnlyCids),
      count(round.toRegister),
      round.approvedBy === null ? '' : `${round.approvedBy}: ${round.approvedWhy}`,
      round.setHash ?? '',
    ]),
  );
  return found.comparisons.length === 0 ? counts : `${counts}\n\n${comparisons}`;
}

function showUndo(undo: UndoSummary): string {
  return fields([
    ['undoes', undo.undoneRun],
    ['started by', undo.by],
    ['reason', undo.reason],
    ['keys put back', `${formatCount(undo.keysUndone)} (held until they are released)`],
    ['keys left alone', `${formatCount(undo.keysLeft)} (changed again since the reconciliation)`],
  ]);
}

function showChildren(children: readonly RunView[]): string {
  return table(
    ['run', 'workflow key', 'status', 'state', 'took'],
    children.map((run) => [run.id, run.workflowKey, run.status, run.state, formatDuration(run.seconds)]),
  );
}
