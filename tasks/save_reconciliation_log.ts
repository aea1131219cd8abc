import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { removeRunFolder } from '../src/dict/compare/cid-file-store.ts';
import { closeReconciliation } from '../src/dict/log/reconciliation-log.ts';

/** Closes the auditor's row with outcome, counts and VSync, and removes the run's temporary files. */
export default reconciliationActivity<'saved'>(async ({ run, context, log }, { settings }) => {
  const { signal, quarantined } = context;
  await removeRunFolder(settings.TEMP_DIR, run.id);
  const rejected = signal?.name === 'reject';
  // run.error alone does not mean that the run failed: it may be the error of the last attempt of this step.
  const failure = run.failedState === null ? null : run.error;
  const ended = quarantined === true ? 'COMPLETED_WITH_QUARANTINE' : 'COMPLETED';
  const outcome = failure !== null ? 'FAILED' : rejected ? 'REJECTED' : ended;
  const reason =
    failure !== null ? `${failure.code}: ${failure.message}` : rejected ? (signal?.reason ?? null) : null;
  return async (tx) => {
    const summary = await closeReconciliation(tx, run.id, outcome, reason);
    log.info({ outcome, ...countsOf(summary) }, 'reconciliation ended');
    return { outcome: 'saved' };
  };
});

function countsOf(summary: Awaited<ReturnType<typeof closeReconciliation>>): Record<string, unknown> {
  if (summary === undefined) return {};
  const {
    rounds,
    keysAdded,
    keysCorrected,
    keysRemoved,
    keysRegistered,
    keysInFlight,
    keysHeld,
    keysUnsure,
  } = summary;
  return {
    rounds,
    keysAdded,
    keysCorrected,
    keysRemoved,
    keysRegistered,
    keysInFlight,
    keysHeld,
    keysUnsure,
  };
}
