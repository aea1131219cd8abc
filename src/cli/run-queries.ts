import type { Pool } from 'pg';
import { readReconciliation } from '../dict/log/reconciliation-log.ts';
import { anyWorkerAlive, historyOf, type HistoryEvent, listRuns, type RunView } from '../engine/index.ts';
import { printNote } from './output/print.ts';

/** The runs that a run with this history started, and those it wanted to start that were open already; oldest first. */
export async function childrenOf(pool: Pool, history: readonly HistoryEvent[]): Promise<RunView[]> {
  const ids = history.flatMap(({ detail }) => (detail?.['children'] as string[] | undefined) ?? []);
  return ids.length === 0 ? [] : (await listRuns(pool, { ids })).toReversed();
}

/** As childrenOf, of several runs. */
export async function childrenOfRuns(pool: Pool, runs: readonly RunView[]): Promise<RunView[]> {
  const children = await Promise.all(runs.map(async ({ id }) => childrenOf(pool, await historyOf(pool, id))));
  return children.flat();
}

/** Whether nothing moves the run but a person's decision. */
export function waitsForPerson(run: RunView): boolean {
  return run.status === 'WAITING' && run.waitsFor?.includes('approve') === true;
}

/** The command that approves what a waiting run found, and only that. */
export async function approveCommand(pool: Pool, runId: string): Promise<string> {
  const summary = await readReconciliation(pool, runId);
  const set = summary?.setHash ? ` --set ${summary.setHash}` : '';
  return `dict-vsync approve ${runId} --by NAME --reason TEXT${set}`;
}

/** Says so when nobody is there to do the work. */
export async function warnWithoutWorker(pool: Pool): Promise<void> {
  if (await anyWorkerAlive(pool)) return;
  printNote('No worker is alive: nothing happens until one runs. Start one with `dict-vsync worker`.');
}
