import { one } from '../src/errors/rows.ts';
import { activity, type ReconciliationContext } from '../src/workflows/activity-types.ts';
import { approveRound } from '../src/dict/log/reconciliation-log.ts';

/**
 * Notes who approved the round's set. `stale` when its comparison is older than APPROVAL_FRESH_MINUTES: keys moved on
 * while the run waited, so it compares anew; what was approved stays approved, only what is new is asked about.
 */
export default activity<'fresh' | 'stale'>(async ({ run }, { settings }) => {
  const { round, signal } = run.context as unknown as ReconciliationContext;
  return async (tx) => {
    await approveRound(tx, run.id, round, { by: signal?.by ?? '', reason: signal?.reason ?? '' });
    const { rows } = await tx.query<{ fresh: boolean; way: string | null }>(
      `select compared_at > workflow.now() - $3 * interval '1 minute' as fresh, way from dict.rounds
       where run_id = $1 and round = $2`,
      [run.id, round, settings.APPROVAL_FRESH_MINUTES],
    );
    const { fresh, way } = one(rows);
    const detail = { by: signal?.by };
    if (fresh) return { outcome: 'fresh', detail };
    // What the event log told was not refuted, only outlived: the next round may ask it again.
    return {
      outcome: 'stale',
      ...(way === 'EVENT_LOG' && { context: { replayed: false } }),
      detail,
    };
  };
});
