import { roundActivity } from '../src/workflows/define-activity.ts';
import { approvalReasons } from '../src/dict/log/approval-threshold.ts';
import { noteApproval } from '../src/dict/log/divergence-report.ts';
import { proofStart } from '../src/dict/event-log/replay-source.ts';
import { NO_EVIDENCE_NEEDED, readRemovalEvidence } from '../src/dict/repair/removal-evidence.ts';
import { freezeRound, planRepair } from '../src/dict/repair/repair-plan.ts';
import { one } from '../src/errors/rows.ts';

/**
 * Plans what will be done with each divergence, by DICT's answers, and freezes the plan with its hash. Outcomes: `apply`
 * (nobody has to approve it, or it is approved already), `ask` (a person decides).
 */
export default roundActivity<'apply' | 'ask'>(
  async ({ run, input, context, attempt, enteredAt, signal, log }, { pool, bridge, settings }) => {
    const scope = { runId: run.id, round: context.round, ...input };
    // Whether DICT was asked (look_up_divergences), and would lack local keys.
    const { rows } = await pool.query<{ asked: boolean; removes: boolean }>(
      `select coalesce(bool_or(finding is not null), false) as asked,
         coalesce(bool_or(side = 'LOCAL_ONLY' and finding ->> 'says' = 'ABSENT'), false) as removes
       from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING'`,
      [run.id, context.round],
    );
    const { asked, removes } = one(rows);
    const evidence = removes
      ? await readRemovalEvidence(
          pool,
          bridge,
          scope,
          {
            attempt,
            enteredAt,
            logUnavailable: context.logUnavailable === context.round,
            proofFrom: await proofStart(pool, input, settings.EVENT_LOG_MAX_HOURS),
          },
          { correlationId: run.correlationId, signal },
        )
      : NO_EVIDENCE_NEEDED;
    return async (tx) => {
      if (asked) await planRepair(tx, scope, evidence);
      const frozen = await freezeRound(tx, scope);
      const reasons = approvalReasons(frozen, settings);
      await noteApproval(tx, run.id, context.round, settings.MANUAL_APPROVAL_THRESHOLD, reasons);
      log.info({ ...frozen, reasons }, 'planned the repair');
      return {
        outcome: reasons.length === 0 ? 'apply' : 'ask',
        detail: { round: context.round, ...frozen, reasons },
      };
    };
  },
);
