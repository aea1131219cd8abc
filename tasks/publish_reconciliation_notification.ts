import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { readDivergenceSummary } from '../src/dict/log/divergence-report.ts';
import { countReconciliation, readReconciliation } from '../src/dict/log/reconciliation-log.ts';
import { publish, readPublished } from '../src/notify/index.ts';

/** Tells Core-Dict where a reconciliation stands that did not simply succeed: approval needed, rejected, failed. */
export default reconciliationActivity<'notified'>(async ({ run, input, context }) => {
  const { participant, keyType } = input;
  const { signal } = context;
  return async (tx) => {
    await countReconciliation(tx, run.id);
    const summary = await readReconciliation(tx, run.id);
    if (summary !== undefined) {
      // Not run.error: that may be the error of this step's own last attempt.
      const failed = run.failedState !== null;
      const event = failed ? 'FAILED' : signal?.name === 'reject' ? 'REJECTED' : 'APPROVAL_NEEDED';
      const code = failed ? /^(DV_[A-Z_0-9]+): /.exec(summary.reason ?? '')?.[1] : undefined;
      await publish(tx, participant, keyType, run.id, {
        type: 'reconciliation.notification',
        content: {
          runId: run.id,
          event,
          summary,
          ...(event !== 'APPROVAL_NEEDED' && (await readPublished(tx, run.id))),
          code,
          reason: summary.reason ?? undefined,
          ...(event === 'APPROVAL_NEEDED' &&
            summary.setHash !== null && {
              setHash: summary.setHash,
              divergences: await readDivergenceSummary(tx, run.id),
            }),
        },
      });
    }
    return { outcome: 'notified' };
  };
});
