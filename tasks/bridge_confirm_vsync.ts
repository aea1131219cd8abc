import { activity, type ReconciliationContext, reconciliationInput } from '../src/activity.ts';
import { completeSyncVerification, sendVSync } from '../src/dict/sync-verification.ts';

/** Comparisons before a reconciliation that DICT keeps calling NOK gives up. */
const ROUNDS = 3;

/** Sends the new VSync to DICT after a repair (Manual §9). NOK means start over, `still_nok` that it was in vain. */
export default activity<'ok' | 'nok' | 'still_nok'>(async ({ run, signal, log }, { pool, bridge }) => {
  const { participant, keyType } = reconciliationInput(run.input);
  const { noks = 0 } = run.context as unknown as ReconciliationContext;
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
    if (result === 'OK') return { outcome: 'ok', detail };
    if (noks + 1 < ROUNDS) return { outcome: 'nok', context: { noks: noks + 1 }, detail };
    return {
      outcome: 'still_nok',
      context: { noks: 0 },
      detail,
      error: {
        code: 'DV_STILL_NOK',
        class: 'not_retryable',
        message: `DICT says NOK after ${ROUNDS} rounds of repair. dict.divergences tells what was left alone and why; retry the run to begin again.`,
      },
    };
  };
});
