import { activity, NOKS_BELIEVED, type ReconciliationContext, reconciliationInput } from '../src/activity.ts';
import { completeSyncVerification, sendVSync } from '../src/dict/sync-verification.ts';
import type { Db } from '../src/dict/vsync-store.ts';

/** Comparisons before a reconciliation that DICT keeps calling NOK gives up. */
const ROUNDS = 3;

/**
 * Sends the new VSync to DICT after a repair (Manual §9), read anew each time; a NOK is believed at the third. NOK
 * means start over, `still_nok` that it was in vain, `quarantined` that all is repaired but what DICT kept failing on.
 */
export default activity<'again' | 'ok' | 'nok' | 'still_nok' | 'quarantined'>(
  async ({ run, signal, log }, { pool, bridge, settings }) => {
    const { participant, keyType } = reconciliationInput(run.input);
    const { round, noks = 0, reads = 0 } = run.context as unknown as ReconciliationContext;
    const sent = await sendVSync(pool, bridge, {
      runId: run.id,
      purpose: 'CONFIRMATION',
      participant,
      keyType,
      correlationId: run.correlationId,
      signal,
    });
    const { result } = sent.answer;
    log.info({ result }, 'VSync confirmed');
    return async (tx) => {
      await completeSyncVerification(tx, sent);
      const detail = { result };
      if (result === 'OK') return { outcome: 'ok', context: { reads: 0 }, detail };
      if (reads + 1 < NOKS_BELIEVED) {
        return {
          outcome: 'again',
          context: { reads: reads + 1 },
          detail,
          wakeAfterMs: settings.NOK_RECHECK_SECONDS * 1000,
        };
      }
      const left = await leftUndone(tx, run.id, round);
      if (left.quarantined > 0 && (left.others === 0 || noks + 1 >= ROUNDS)) {
        return {
          outcome: 'quarantined',
          context: { reads: 0, noks: 0, quarantined: true },
          detail: { ...detail, ...left },
        };
      }
      if (noks + 1 < ROUNDS) {
        // What was in flight must come to rest before it is looked at again.
        const wait = left.inFlight > 0 ? settings.IN_FLIGHT_MARGIN_SECONDS * 1000 : 0;
        return {
          outcome: 'nok',
          context: { noks: noks + 1, reads: 0 },
          detail: { ...detail, ...left },
          wakeAfterMs: wait,
        };
      }
      return {
        outcome: 'still_nok',
        context: { noks: 0, reads: 0 },
        detail: { ...detail, ...left },
        error: {
          code: 'DV_STILL_NOK',
          class: 'not_retryable',
          message: `DICT says NOK after ${ROUNDS} rounds of repair. dict.divergences tells what was left alone and why; retry the run to begin again.`,
        },
      };
    };
  },
);

/** What the round's repair left alone. */
async function leftUndone(
  tx: Db,
  runId: string,
  round: number,
): Promise<{ quarantined: number; inFlight: number; others: number }> {
  const { rows } = await tx.query<{ quarantined: number; inFlight: number; others: number }>(
    `select count(*) filter (where decision = 'QUARANTINED')::integer as quarantined,
       count(*) filter (where decision = 'IN_FLIGHT')::integer as "inFlight",
       count(*) filter (where decision in ('IN_FLIGHT', 'SUPERSEDED', 'REFUSED', 'HELD'))::integer as others
     from dict.divergences where run_id = $1 and round = $2`,
    [runId, round],
  );
  return rows[0] ?? { quarantined: 0, inFlight: 0, others: 0 };
}
