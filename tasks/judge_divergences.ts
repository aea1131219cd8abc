import { roundActivity } from '../src/workflows/define-activity.ts';
import { readRoundLog } from '../src/dict/event-log/round-log.ts';
import { judgeHeld } from '../src/dict/key-base/held-keys.ts';
import { judgeRound } from '../src/dict/repair/in-flight.ts';
import { keepPlans } from '../src/dict/repair/registration.ts';
import { countPending } from '../src/dict/repair/repair-plan.ts';
import { DvError } from '../src/errors/dv-error.ts';

/**
 * Judges what a comparison found. Keys that are held become HELD; divergences that a local change or DICT's event log
 * explains become IN_FLIGHT. Without the log, which may be unavailable for days, the local changes alone are considered; each
 * key is judged again when it is applied. Outcomes: `nothing` (nothing is left), `judged`.
 */
export default roundActivity<'nothing' | 'judged'>(
  async ({ run, input, context, attempt, enteredAt, signal, log }, { pool, bridge }) => {
    const { participant, keyType } = input;
    const { round } = context;
    const scope = { runId: run.id, round, participant, keyType };
    const patience = { attempt, enteredAt, logUnavailable: context.logUnavailable === round };
    const read = await readRoundLog(pool, bridge, scope, patience, {
      correlationId: run.correlationId,
      signal,
    });
    const away = read instanceof DvError;
    if (away) log.warn({ code: read.code }, 'the event log cannot be read; the round continues without it');
    return async (tx) => {
      const held = await judgeHeld(tx, run.id, round);
      const inFlight = await judgeRound(tx, run.id, round, away ? [] : read.events);
      await keepPlans(tx, run.id, round);
      const left = await countPending(tx, scope, 0);
      log.info({ held, inFlight }, 'judged the divergences');
      return {
        outcome: left === 0 ? 'nothing' : 'judged',
        context: { logUnavailable: away ? round : undefined },
        detail: { round, held, inFlight, eventLog: away ? read.code : 'read' },
      };
    };
  },
);
