import { one } from '../src/errors/rows.ts';
import { roundActivity } from '../src/workflows/define-activity.ts';
import { approveRound } from '../src/dict/log/reconciliation-log.ts';
import { forgetFindings } from '../src/dict/repair/repair-lookup.ts';

/**
 * Records who approved the round's set, and lets DICT be asked again about all of it when it is applied. `stale` when its comparison is older than APPROVAL_FRESH_MINUTES: keys changed
 * while the run waited, so it compares again. What was approved stays approved; only new divergences need approval.
 */
export default roundActivity<'fresh' | 'stale'>(async ({ run, context }, { settings }) => {
  const { round, signal } = context;
  return async (tx) => {
    await approveRound(tx, run.id, round, { by: signal?.by ?? '', reason: signal?.reason ?? '' });
    await forgetFindings(tx, run.id, round);
    const { rows } = await tx.query<{ fresh: boolean; foundBy: string | null }>(
      `select compared_at > workflow.now() - $3 * interval '1 minute' as fresh, found_by as "foundBy" from dict.rounds
       where run_id = $1 and round = $2`,
      [run.id, round, settings.APPROVAL_FRESH_MINUTES],
    );
    const { fresh, foundBy } = one(rows);
    const detail = { by: signal?.by };
    if (fresh) return { outcome: 'fresh', detail };
    // What the event log showed was not wrong, only too old: the next round may use it again.
    return {
      outcome: 'stale',
      context: foundBy === 'EVENT_LOG' ? { replayed: false } : undefined,
      detail,
    };
  };
});
