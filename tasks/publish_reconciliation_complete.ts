import { impossible } from '../src/errors/rows.ts';
import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { readQuarantined, readReconciliation } from '../src/dict/log/reconciliation-log.ts';
import { publish, publishNotification, readPublished } from '../src/notify/index.ts';

/** CIDs put aside that are named in the notification; dict.divergences has them all. */
const NAMED = 100;

/**
 * Tells Core-Dict that a reconciliation is complete, with what it took; before that, which CIDs it had to put aside. The
 * changes themselves were told as they were made.
 */
export default reconciliationActivity<'published'>(async ({ run, input }) => {
  const { participant, keyType } = input;
  return async (tx) => {
    const summary = await readReconciliation(tx, run.id);
    if (summary === undefined) throw impossible('A reconciliation is complete that was never opened.');
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
