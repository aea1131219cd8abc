import { roundActivity } from '../src/workflows/define-activity.ts';
import { readEventLog } from '../src/dict/event-log/event-log.ts';
import { readLogPatiently } from '../src/dict/event-log/log-patience.ts';
import { judgeHeld } from '../src/dict/key-base/held-keys.ts';
import { judgeRound } from '../src/dict/repair/in-flight.ts';
import { keepPlans } from '../src/dict/repair/registration.ts';
import { countPending } from '../src/dict/repair/repair-plan.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { one } from '../src/errors/rows.ts';

/** 10,000 events since the snapshot: more than any bank causes in the minutes that a round lasts. */
const PAGES = 50;

/**
 * Judges what a comparison found. Keys that are held become HELD; divergences that a local change or DICT's event log
 * explains become IN_FLIGHT. Without the log, which may be unavailable for days, the local changes alone are considered; each
 * key is judged again when it is applied. Outcomes: `nothing` (nothing is left), `judged`.
 */
export default roundActivity<'nothing' | 'judged'>(
  async ({ run, input, context, attempt, enteredAt, signal, log }, { pool, bridge }) => {
    const { participant, keyType } = input;
    const { round } = context;
    const { rows } = await pool.query<{ since: Date }>(
      'select margin_starts_at as since from dict.rounds where run_id = $1 and round = $2',
      [run.id, round],
    );
    const scope = { participant, keyType, from: one(rows).since, maxPages: PAGES };
    const call = { correlationId: run.correlationId, signal };
    const read = await readLogPatiently(pool, async () => readEventLog(bridge, scope, call), {
      attempt,
      enteredAt,
      logUnavailable: context.logUnavailable === round,
    });
    const away = read instanceof DvError;
    if (away) log.warn({ code: read.code }, 'the event log cannot be read; the round continues without it');
    return async (tx) => {
      const held = await judgeHeld(tx, run.id, round);
      const inFlight = await judgeRound(tx, run.id, round, away ? [] : read.events);
      await keepPlans(tx, run.id, round);
      const left = await countPending(tx, { runId: run.id, round, participant, keyType }, 0);
      log.info({ held, inFlight }, 'judged the divergences');
      return {
        outcome: left === 0 ? 'nothing' : 'judged',
        context: { logUnavailable: away ? round : undefined },
        detail: { round, held, inFlight, eventLog: away ? read.code : 'read' },
      };
    };
  },
);
