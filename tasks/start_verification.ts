import { verificationScheduleActivity } from '../src/workflows/define-activity.ts';
import { verificationKey } from '../src/dict/log/workflow-keys.ts';
import { KEY_TYPES } from '../src/dict/entry/key-type.ts';

/**
 * After this many executions the schedule's run closes as CONTINUED and a new one takes over, so histories stay short.
 */
export const EXECUTIONS_PER_RUN = 30;

/** Starts the verification of a tick. If one is still open, it counts as the verification of this tick. */
export default verificationScheduleActivity<'started' | 'renew'>(async ({ input, context }, { pool }) => {
  const { participant } = input;
  const keyTypes = [...KEY_TYPES].sort();
  const executions = (context.executions ?? 0) + 1;
  return {
    outcome: executions < EXECUTIONS_PER_RUN ? 'started' : 'renew',
    context: { executions },
    detail: { signal: context.signal },
    children: [
      {
        machine: 'verification',
        key: await verificationKey(pool, participant, keyTypes),
        input: { participant, keyTypes },
        policy: 'ABANDON',
      },
    ],
    continueAsNew: { participant },
  };
});
