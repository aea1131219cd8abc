import { activity, type VerificationContext } from '../src/workflows/activity-types.ts';

/** Writes the auditor's row of the verification. */
export default activity<'logged'>(async ({ run }) => {
  const { results } = run.context as unknown as VerificationContext;
  return async (tx) => {
    await tx.query('select dict.log_verification($1, $2)', [run.id, JSON.stringify(results)]);
    return { outcome: 'logged' };
  };
});
