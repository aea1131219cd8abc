import { verificationActivity } from '../src/workflows/define-activity.ts';
import { reconciliationKeys } from '../src/dict/log/workflow-keys.ts';

/**
 * Starts a reconciliation for each key type that is NOK. They continue after the verification has ended (ABANDON). When
 * a person retries the run, those that it has already started are not started again.
 */
export default verificationActivity<'spawned'>(async ({ input, context }, { pool }) => {
  const { participant, keyTypes } = input;
  const { results, spawned = [] } = context;
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
