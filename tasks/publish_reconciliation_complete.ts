import { impossible } from '../src/errors/rows.ts';
import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { readQuarantined, readReconciliation } from '../src/dict/log/reconciliation-log.ts';
import { publish, publishNotification, readPublished } from '../src/notify/index.ts';

/** Quarantined CIDs that the notification names; dict.divergences has all of them. */
const NAMED = 100;

/**
 * Publishes that a reconciliation is complete, with its counts; before that, which CIDs are quarantined. The changes
 * themselves were published as they were made.
 */
export default reconciliationActivity<'published'>(async ({ run, input }) => {
  const { participant, keyType } = input;
  return async (tx) => {
    const summary = await readReconciliation(tx, run.id);
    if (summary === undefined) throw impossible('A reconciliation that was never opened is complete.');
    if (summary.quarantined > 0) {
      const quarantined = await readQuarantined(tx, run.id, NAMED);
      await publishNotification(tx, run.id, 'QUARANTINED', { quarantined });
    }
    await publish(tx, participant, keyType, run.id, {
      type: 'reconciliation.complete',
      content: { runId: run.id, summary, ...(await readPublished(tx, run.id)) },
    });
    return { outcome: 'published' };
  };
});
