import { activity, type VerificationContext, verificationInput } from '../src/activity.ts';

/** Starts a reconciliation for each key type that is NOK; they outlive the verification (ABANDON). */
export default activity<'spawned'>(async ({ run }) => {
  const { participant, keyTypes } = verificationInput(run.input);
  const { results } = run.context as unknown as VerificationContext;
  return {
    outcome: 'spawned',
    children: keyTypes
      .filter((keyType) => results[keyType]?.result === 'NOK')
      .map((keyType) => ({
        machine: 'reconciliation',
        key: `reconciliation:${participant}:${keyType}`,
        input: { participant, keyType },
        policy: 'ABANDON',
      })),
  };
});
