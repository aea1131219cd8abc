import { verificationActivity } from '../src/workflows/define-activity.ts';
import { NOKS_BELIEVED } from '../src/workflows/verification/context.ts';
import { isIncomplete } from '../src/dict/key-base/connected-tables.ts';
import type { KeyType } from '../src/dict/entry/key-type.ts';
import { completeSyncVerification, sendVSync } from '../src/dict/vsync/sync-verification.ts';

/**
 * Sends the VSync of the next key type to DICT (createSyncVerification). DICT answers only OK or NOK. A NOK counts at
 * the third fresh read, a few seconds apart, because keys change on the two sides at different moments.
 */
export default verificationActivity<'again' | 'done'>(
  async ({ run, input, context, signal, log }, { pool, bridge, settings }) => {
    const { participant } = input;
    const { todo, results, noks = {} } = context;
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
    const incomplete = await isIncomplete(pool, participant, keyType);
    log.info({ keyType, result: sent.answer.result, entries: sent.entries, incomplete }, 'VSync verified');
    const { vsync, entries } = sent;
    return async (tx) => {
      await completeSyncVerification(tx, sent);
      const detail = { keyType, result: sent.answer.result };
      const before = noks[keyType] ?? 0;
      // One pass over all types, then a pause. Pause before `next` only if it was already asked in this pass.
      const pauseBefore = (next: KeyType | undefined, asked: Partial<Record<KeyType, number>>) =>
        next !== undefined && (asked[next] ?? 0) > before ? settings.NOK_RECHECK_SECONDS * 1000 : undefined;
      if (sent.answer.result === 'NOK' && before + 1 < NOKS_BELIEVED) {
        const asked = { ...noks, [keyType]: before + 1 };
        const order = [...rest, keyType];
        return {
          outcome: 'again',
          context: { todo: order, noks: asked },
          detail,
          wakeAfterMs: pauseBefore(order[0], asked),
        };
      }
      return {
        outcome: rest.length > 0 ? 'again' : 'done',
        context: {
          todo: rest,
          results: {
            ...results,
            [keyType]: { result: sent.answer.result, vsync, entries, incomplete: incomplete || undefined },
          },
        },
        detail,
        wakeAfterMs: pauseBefore(rest[0], noks),
      };
    };
  },
);
