import { sharedActivity } from '../src/workflows/define-activity.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { recalculateVSync } from '../src/dict/vsync/vsync-store.ts';

/**
 * Computes a VSync from the entries and repairs the kept one, one key type in each step: in a verification those of
 * `toScan`, in a reconciliation its own (Manual §9: after the corrections the VSync is generated again from the local
 * base).
 */
export default sharedActivity<'again' | 'recalculated'>(async ({ input, context, log }) => {
  const { participant } = input;
  const ofVerification = context.toScan !== undefined;
  const [keyType, ...rest] = context.toScan ?? (input.keyType === undefined ? [] : [input.keyType]);
  if (keyType === undefined) {
    throw new DvError(
      'DV_UNEXPECTED',
      'The run does not say which key type to recalculate. Please report this error.',
    );
  }
  return async (tx) => {
    const scan = await recalculateVSync(tx, participant, keyType);
    if (scan.repairedBuckets > 0) {
      log.warn(
        { keyType: ofVerification ? keyType : undefined, repairedBuckets: scan.repairedBuckets },
        'the kept VSync was wrong and has been repaired: entries changed without their triggers (disabled, restored or replicated?)',
      );
    }
    const { entries, vsync, repairedBuckets } = scan;
    return {
      outcome: rest.length > 0 ? 'again' : 'recalculated',
      context: ofVerification ? { toScan: rest } : undefined,
      detail: { keyType, entries, vsync, repairedBuckets },
    };
  };
});
