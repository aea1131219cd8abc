import { activity } from '../src/workflows/activity-types.ts';
import { parseIspb } from '../src/dict/entry/ispb.ts';
import type { KeyType } from '../src/dict/entry/key-type.ts';
import { recalculateVSync } from '../src/dict/vsync/vsync-store.ts';

/**
 * Computes a VSync from the entries and mends the kept one, one key type a step: those of `toScan` in a verification,
 * its own in a reconciliation (Manual §9: after the corrections the VSync is generated anew from the local base).
 */
export default activity<'again' | 'recalculated'>(async ({ run, log }) => {
  const participant = parseIspb(String(run.input['participant']));
  const ofVerification = run.context['toScan'] !== undefined;
  const [keyType, ...rest] = (run.context['toScan'] ?? [run.input['keyType']]) as [KeyType, ...KeyType[]];
  return async (tx) => {
    const scan = await recalculateVSync(tx, participant, keyType);
    if (scan.mendedBuckets > 0) {
      log.warn(
        { ...(ofVerification && { keyType }), mendedBuckets: scan.mendedBuckets },
        'the kept VSync was wrong and is mended: entries changed without their triggers (disabled, restored or replicated?)',
      );
    }
    const { entries, vsync, mendedBuckets } = scan;
    return {
      outcome: rest.length > 0 ? 'again' : 'recalculated',
      ...(ofVerification && { context: { toScan: rest } }),
      detail: { keyType, entries, vsync, mendedBuckets },
    };
  };
});
