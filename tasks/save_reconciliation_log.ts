import { activity, type ReconciliationContext, reconciliationInput } from '../src/activity.ts';
import { removeRunFolder } from '../src/dict/cid-file-store.ts';
import { closeReconciliation } from '../src/dict/reconciliation-log.ts';

/** Ends the auditor's row with outcome, counts and VSync, and removes the run's temporary files. */
export default activity<'saved'>(async ({ run, log }, { settings }) => {
  const { participant, keyType } = reconciliationInput(run.input);
  const { signal, quarantined } = run.context as unknown as ReconciliationContext;
  await removeRunFolder(settings.TEMP_DIR, run.id);
  const rejected = signal?.name === 'reject';
  const ended = quarantined === true ? 'COMPLETED_WITH_QUARANTINE' : 'COMPLETED';
  const outcome = run.error !== null ? 'FAILED' : rejected ? 'REJECTED' : ended;
  const reason =
    run.error !== null
      ? `${run.error.code}: ${run.error.message}`
      : rejected
        ? (signal?.reason ?? null)
        : null;
  return async (tx) => {
    const summary = await closeReconciliation(tx, run.id, outcome, reason);
    log.info({ participant, keyType, outcome, ...countsOf(summary) }, 'reconciliation ended');
    return { outcome: 'saved' };
  };
});

function countsOf(summary: Awaited<ReturnType<typeof closeReconciliation>>): Record<string, unknown> {
  if (summary === undefined) return {};
  const { rounds, keysAdded, keysCorrected, keysRemoved, keysInFlight } = summary;
  return { rounds, keysAdded, keysCorrected, keysRemoved, keysInFlight };
}
