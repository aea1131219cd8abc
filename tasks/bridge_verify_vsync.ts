import { activity, type VerificationContext, verificationInput } from '../src/activity.ts';
import { completeSyncVerification, sendVSync } from '../src/dict/sync-verification.ts';

/** Sends the VSync of the next key type to DICT (createSyncVerification): OK or NOK, nothing else is ever told. */
export default activity<'again' | 'done'>(async ({ run, signal, log }, { pool, bridge }) => {
  const { participant } = verificationInput(run.input);
  const { todo, results } = run.context as unknown as VerificationContext;
  const [keyType, ...rest] = todo;
  if (keyType === undefined) return { outcome: 'done' };
  const sent = await sendVSync(pool, bridge, {
    runId: run.id,
    purpose: 'VERIFICATION',
    participant,
    keyType,
    correlationId: run.correlationId,
    signal,
  });
  log.info({ keyType, result: sent.answer.result, entries: sent.entries }, 'VSync verified');
  const { vsync, entries } = sent;
  return async (tx) => {
    await completeSyncVerification(tx, sent);
    return {
      outcome: rest.length > 0 ? 'again' : 'done',
      context: {
        todo: rest,
        results: { ...results, [keyType]: { result: sent.answer.result, vsync, entries } },
      },
      detail: { keyType, result: sent.answer.result },
    };
  };
});
