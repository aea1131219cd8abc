import { verificationActivity } from '../src/workflows/define-activity.ts';

/** Writes the auditor's row of the verification. */
export default verificationActivity<'logged'>(async ({ run, context }) => {
  const { results } = context;
  return async (tx) => {
    await tx.query('select dict.log_verification($1, $2)', [run.id, JSON.stringify(results)]);
    return { outcome: 'logged' };
  };
});
