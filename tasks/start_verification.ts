import { activity } from '../src/workflows/activity-types.ts';
import { parseIspb } from '../src/dict/entry/ispb.ts';
import { verificationKey } from '../src/dict/log/workflow-keys.ts';
import { KEY_TYPES } from '../src/dict/entry/key-type.ts';

/** After this many executions the schedule's run closes as CONTINUED and a fresh one takes over: histories stay short. */
export const EXECUTIONS_PER_RUN = 30;

/** Starts the verification of a tick; one still open counts as this tick's. */
export default activity<'started' | 'renew'>(async ({ run }, { pool }) => {
  const participant = parseIspb(String(run.input['participant']));
  const keyTypes = [...KEY_TYPES].sort();
  const executions = Number(run.context['executions'] ?? 0) + 1;
  return {
    outcome: executions < EXECUTIONS_PER_RUN ? 'started' : 'renew',
    context: { executions },
    detail: { signal: run.context['signal'] },
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
