import { activity, type VerificationContext, verificationInput } from '../src/workflows/activity-types.ts';
import { reconciliationKeys } from '../src/dict/log/workflow-keys.ts';
import type { KeyType } from '../src/dict/entry/key-type.ts';

/**
 * Starts a reconciliation for each key type that is NOK; they outlive the verification (ABANDON). When a person retries
 * the run, not again for those that it has started already.
 */
export default activity<'spawned'>(async ({ run }, { pool }) => {
  const { participant, keyTypes } = verificationInput(run.input);
  const { results, spawned = [] } = run.context as unknown as VerificationContext & { spawned?: KeyType[] };
  const nok = keyTypes.filter((keyType) => results[keyType]?.result === 'NOK' && !spawned.includes(keyType));
  const keys = await reconciliationKeys(pool, participant, nok);
  return {
    outcome: 'spawned',
    context: { spawned: [...spawned, ...nok] },
    children: keys.map(({ keyType, key }) => ({
      machine: 'reconciliation',
      key,
      input: { participant, keyType },
      policy: 'ABANDON',
    })),
  };
});
