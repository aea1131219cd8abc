import { verificationActivity } from '../src/workflows/define-activity.ts';
import { outcomeOf } from '../src/workflows/verification/context.ts';

/** Writes the auditor's row of the verification. */
export default verificationActivity<'logged'>(async ({ run, input, context }) => {
  const { participant, keyTypes } = input;
  const { results } = context;
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
