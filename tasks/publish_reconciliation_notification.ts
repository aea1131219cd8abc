import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { readDivergenceSummary } from '../src/dict/log/divergence-report.ts';
import { countReconciliation } from '../src/dict/log/reconciliation-log.ts';
import { publishNotification } from '../src/notify/index.ts';

/** Publishes the state of a reconciliation that did not simply succeed: approval needed, rejected, failed. */
export default reconciliationActivity<'notified'>(async ({ run, context }) => {
  const { signal } = context;
  return async (tx) => {
    await countReconciliation(tx, run.id);
    // Not run.error: it may be the error of the last attempt of this step.
    const failed = run.failedState !== null;
    const event = failed ? 'FAILED' : signal?.name === 'reject' ? 'REJECTED' : 'APPROVAL_NEEDED';
    const more = event === 'APPROVAL_NEEDED' ? { divergences: await readDivergenceSummary(tx, run.id) } : {};
    await publishNotification(tx, run.id, event, more);
    return { outcome: 'notified' };
  };
});
