import {
  activity,
  outcomeOf,
  type VerificationContext,
  verificationInput,
} from '../src/workflows/activity-types.ts';

/** Writes the auditor's row of the verification. */
export default activity<'logged'>(async ({ run }) => {
  const { participant, keyTypes } = verificationInput(run.input);
  const { results } = run.context as unknown as VerificationContext;
  return async (tx) => {
    await tx.query(
      `insert into dict.verifications (run_id, participant, key_types, started_at, ended_at, outcome, results)
       select $1, $2, $3, created_at, workflow.now(), $4, $5 from workflow.runs where id = $1
       on conflict (run_id) do update set
         ended_at = excluded.ended_at, outcome = excluded.outcome, results = excluded.results`,
      [run.id, participant, keyTypes, outcomeOf(results), JSON.stringify(results)],
    );
    return { outcome: 'logged' };
  };
});
