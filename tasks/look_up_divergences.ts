import { roundActivity } from '../src/workflows/define-activity.ts';
import { countPending } from '../src/dict/repair/repair-plan.ts';
import { LOOKUPS_AGAIN_MS, lookUp, unaskedDivergences } from '../src/dict/repair/repair-lookup.ts';

/** CIDs looked up in a step. */
const CHUNK = 500;

/**
 * Asks DICT about each divergence before anything is decided, so that the plan consists of decisions and not of
 * guesses. A set of more than APPROVAL_LOOKUPS_MAX CIDs is not looked up before it is approved.
 */
export default roundActivity<'again' | 'looked_up'>(
  async ({ run, input, context, signal, log }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round } = context;
    const scope = { runId: run.id, round, participant, keyType };
    const most = settings.APPROVAL_LOOKUPS_MAX;
    if ((await countPending(pool, scope, most)) > most) {
      return { outcome: 'looked_up', detail: { round, lookedUp: 0, reason: `more than ${most} CIDs` } };
    }
    const unasked = await unaskedDivergences(pool, run.id, round, CHUNK);
    if (unasked.length === 0) return { outcome: 'looked_up' };
    const { findings, failed, brokenOffBy } = await lookUp(pool, bridge, scope, unasked, {
      correlationId: run.correlationId,
      signal,
    });
    // What was fetched before the rate limit was reached is kept. Only a step that got nothing has failed.
    if (findings.length === 0 && failed === 0) throw brokenOffBy;
    const detail = { lookedUp: findings.length, failed };
    log.info(detail, 'asked DICT about what differs');
    return { outcome: 'again', detail, wakeAfterMs: findings.length === 0 ? LOOKUPS_AGAIN_MS : undefined };
  },
);
