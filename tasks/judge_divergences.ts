import { roundActivity } from '../src/workflows/define-activity.ts';
import type { CidSetEvent } from '../src/bridge/index.ts';
import { readEventLog } from '../src/dict/event-log/event-log.ts';
import { judgeHeld } from '../src/dict/key-base/held-keys.ts';
import { needsApproval } from '../src/dict/log/approval-threshold.ts';
import { noteThreshold } from '../src/dict/log/divergence-report.ts';
import { judgeRound } from '../src/dict/repair/in-flight.ts';
import { freezeRound } from '../src/dict/log/reconciliation-log.ts';
import { keepPlans } from '../src/dict/repair/registration.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { one } from '../src/errors/rows.ts';

/** 10,000 events since the snapshot: more than any bank causes in the minutes that a round lasts. */
const PAGES = 50;

/**
 * Judges what a comparison found. Keys that are held become HELD; divergences that a local change or DICT's event log
 * explains become IN_FLIGHT. The rest is frozen with its hash. Outcomes: `nothing` (nothing is left), `apply` (within
 * the approval threshold, or already approved), `ask` (a person decides).
 */
export default roundActivity<'nothing' | 'apply' | 'ask'>(
  async ({ run, input, context, signal, log }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round } = context;
    const { rows } = await pool.query<{ since: Date }>(
      'select margin_starts_at as since from dict.rounds where run_id = $1 and round = $2',
      [run.id, round],
    );
    let events: CidSetEvent[] = [];
    let eventLog = 'read';
    try {
      const scope = { participant, keyType, from: one(rows).since, maxPages: PAGES };
      ({ events } = await readEventLog(bridge, scope, { correlationId: run.correlationId, signal }));
    } catch (error) {
      // Without the event log the local changes are still considered, and each key is judged again when it is applied.
      if (!(error instanceof DvError) || error.class !== 'not_retryable') throw error;
      eventLog = error.code;
    }
    return async (tx) => {
      const held = await judgeHeld(tx, run.id, round);
      const inFlight = await judgeRound(tx, run.id, round, events);
      await keepPlans(tx, run.id, round);
      const frozen = await freezeRound(tx, run.id, round);
      await noteThreshold(tx, run.id, round, settings.MANUAL_APPROVAL_THRESHOLD);
      log.info({ held, inFlight, ...frozen }, 'judged the divergences');
      const outcome =
        frozen.pending === 0
          ? 'nothing'
          : needsApproval(frozen, settings.MANUAL_APPROVAL_THRESHOLD)
            ? 'ask'
            : 'apply';
      return { outcome, detail: { round, held, inFlight, eventLog, ...frozen } };
    };
  },
);
