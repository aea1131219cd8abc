import type { Pool } from 'pg';
import { readReconciliation } from '../dict/log/reconciliation-log.ts';
import { anyWorkerAlive, historyOf, type HistoryEvent, listRuns, type RunView } from '../engine/index.ts';
import { printNote } from './output/print.ts';

/** The runs that a run with this history started, or would have started if they had not been open. Oldest first. */
export async function childrenOf(pool: Pool, history: readonly HistoryEvent[]): Promise<RunView[]> {
  const ids = history.flatMap(({ detail }) => (detail?.['children'] as string[] | undefined) ?? []);
  return ids.length === 0 ? [] : (await listRuns(pool, { ids })).toReversed();
}

/** Like childrenOf, for several runs. */
export async function childrenOfRuns(pool: Pool, runs: readonly RunView[]): Promise<RunView[]> {
  const children = await Promise.all(runs.map(async ({ id }) => childrenOf(pool, await historyOf(pool, id))));
  return children.flat();
}

/** Whether the run continues only after a person's decision. */
export function waitsForPerson(run: RunView): boolean {
  return run.status === 'WAITING' && run.waitsFor?.includes('approve') === true;
}

/** The command that approves the frozen set of a waiting run, and only this set. */
export async function approveCommand(pool: Pool, runId: string): Promise<string> {
  const summary = await readReconciliation(pool, runId);
  const set = summary?.setHash ? ` --set ${summary.setHash}` : '';
  return `dict-vsync approve ${runId} --by NAME --reason TEXT${set}`;
}

/** Prints a note if no worker is alive. */
export async function warnWithoutWorker(pool: Pool): Promise<void> {
  if (await anyWorkerAlive(pool)) return;
  printNote('No worker is alive, so the run waits in the queue. Start a worker with `dict-vsync worker`.');
}
