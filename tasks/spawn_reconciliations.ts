import { verificationActivity } from '../src/workflows/define-activity.ts';

/**
 * Starts a reconciliation for each key type that is NOK; they outlive the verification (ABANDON). When a person retries
 * the run, not again for those that it has started already.
 */
export default verificationActivity<'spawned'>(async ({ input, context }) => {
  const { participant, keyTypes } = input;
  const { results, spawned = [] } = context;
  const nok = keyTypes.filter((keyType) => results[keyType]?.result === 'NOK' && !spawned.includes(keyType));
  return {
    outcome: 'spawned',
    context: { spawned: [...spawned, ...nok] },
    children: nok.map((keyType) => ({
      machine: 'reconciliation',
      key: `reconciliation:${participant}:${keyType}`,
      input: { participant, keyType },
      policy: 'ABANDON',
    })),
  };
});
