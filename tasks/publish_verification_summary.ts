import { verificationActivity } from '../src/workflows/define-activity.ts';
import { outcomeOf } from '../src/workflows/verification/context.ts';
import type { KeyType } from '../src/dict/entry/key-type.ts';
import { readVerificationTimes } from '../src/dict/vsync/sync-verification.ts';
import { publish } from '../src/notify/index.ts';

/** Tells Core-Dict what the verification found and which reconciliations it started. */
export default verificationActivity<'in_sync' | 'out_of_sync' | 'incomplete'>(
  async ({ run, input, context }) => {
    const { participant } = input;
    const { results, skipped } = context;
    return async (tx) => {
      const { rows } = await tx.query<{ keyType: KeyType; id: string }>(
        `select input ->> 'keyType' as "keyType", id from workflow.runs
       where input ->> 'participant' = $1 and (parent_id = $2 or closed_at is null) and machine = 'reconciliation'
         and input ->> 'keyType' = any ($3)`,
        [
          participant,
          run.id,
          Object.keys(results).filter((keyType) => results[keyType as KeyType]?.result === 'NOK'),
        ],
      );
      const outcome = outcomeOf(results);
      const logged = await readVerificationTimes(tx, run.id);
      if (logged === undefined) throw new Error('a verification is logged before it is told');
      const { byKeyType, ...times } = logged;
      const keyTypes = Object.fromEntries(
        Object.entries(results).map(([keyType, result]) => {
          const seconds = byKeyType[keyType as KeyType];
          return [keyType, { ...result, seconds }];
        }),
      );
      await publish(tx, participant, 'ALL', run.id, {
        type: 'verification.summary',
        content: {
          runId: run.id,
          outcome,
          ...times,
          keyTypes,
          reconciliations: Object.fromEntries(rows.map(({ keyType, id }) => [keyType, id])),
        },
      });
      if (outcome === 'IN_SYNC') return { outcome: 'in_sync' };
      if (outcome === 'OUT_OF_SYNC') return { outcome: 'out_of_sync' };
      // A person's retry verifies those that could not be verified, and only those.
      return { outcome: 'incomplete', context: { todo: skipped, skipped: [] } };
    };
  },
);
