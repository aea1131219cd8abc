import { roundActivity } from '../src/workflows/define-activity.ts';
import { NOKS_BELIEVED } from '../src/workflows/verification/context.ts';
import { completeSyncVerification, type SentVSync, sendVSync } from '../src/dict/vsync/sync-verification.ts';
import { type StepError, stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';
import {
  leftUndone,
  listedButAbsent,
  neverShown,
  quarantineNeverShown,
  untilLogShows,
} from '../src/dict/repair/left-undone.ts';

/** Rounds after which a reconciliation fails if DICT still answers NOK. */
const ROUNDS = 3;

/**
 * Sends the new VSync to DICT after a repair (Manual §9). The VSync is read again each time; the third NOK counts.
 * `nok` starts another round. `still_nok` means that the rounds are used up or that only a person can continue.
 * `quarantined` means that everything is repaired except what was quarantined or left for a person to decide.
 */
export default roundActivity<'again' | 'ok' | 'nok' | 'still_nok' | 'quarantined'>(
  async ({ run, input, context, attempt, enteredAt, signal, log }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round, noks = 0, reads = 0 } = context;
    const sent = await sendVSync(pool, bridge, {
      runId: run.id,
      purpose: 'CONFIRMATION',
      participant,
      keyType,
      correlationId: run.correlationId,
      signal,
    });
    const { result } = sent.answer;
    log.info({ result }, 'VSync sent to confirm the repair');
    const counts = result === 'NOK' && reads + 1 >= NOKS_BELIEVED;
    const scope = { runId: run.id, round, participant, keyType };
    const listed = counts ? await listedButAbsent(pool, run.id, round) : [];
    const early = untilLogShows(listed);
    const ghosts =
      listed.length > 0 && early === 0
        ? await neverShown(
            pool,
            bridge,
            scope,
            listed,
            { attempt, enteredAt, logUnavailable: context.logUnavailable === round },
            { correlationId: run.correlationId, signal },
          )
        : [];
    return async (tx) => {
      await completeSyncVerification(tx, sent);
      const detail = { result };
      if (result === 'OK') return { outcome: 'ok', context: { reads: 0 }, detail };
      if (reads + 1 < NOKS_BELIEVED) {
        return {
          outcome: 'again',
          context: { reads: reads + 1 },
          detail,
          wakeAfterMs: settings.NOK_RECHECK_SECONDS * 1000,
        };
      }
      if (early > 0) return { outcome: 'again', detail, wakeAfterMs: early };
      await quarantineNeverShown(tx, scope, ghosts);
      const left = await leftUndone(tx, run.id, round);
      if (left.leftForPerson > 0 && (left.others === 0 || noks + 1 >= ROUNDS)) {
        return {
          outcome: 'quarantined',
          context: { reads: 0, noks: 0, quarantined: true },
          detail: { ...detail, ...left },
        };
      }
      // Only a person can continue: another round changes neither a held key nor DICT's refusal.
      if (left.others === 0 && left.held + left.unregistered > 0) {
        return {
          outcome: 'still_nok',
          context: { noks: 0, reads: 0 },
          detail: { ...detail, ...left },
          error: left.held > 0 ? keysHeld(left.held) : registrationRefused(left.unregistered),
        };
      }
      if (noks + 1 < ROUNDS) {
        // What was in flight must be older than the margin before the next comparison.
        const wait = left.inFlight > 0 ? settings.IN_FLIGHT_MARGIN_SECONDS * 1000 : 0;
        return {
          outcome: 'nok',
          context: { noks: noks + 1, reads: 0 },
          detail: { ...detail, ...left },
          wakeAfterMs: wait,
        };
      }
      return {
        outcome: 'still_nok',
        context: { noks: 0, reads: 0 },
        detail: { ...detail, ...left },
        error: left.found === 0 ? nokThoughEqual(sent) : stillNok(),
      };
    };
  },
);

function stillNok(): StepError {
  return stepErrorOf(
    new DvError(
      'DV_STILL_NOK',
      `DICT says NOK after ${ROUNDS} rounds of repair. dict.divergences shows what was left alone and why. Retry the run to begin again.`,
    ),
  );
}

function nokThoughEqual({ answer, vsync, entries }: SentVSync): StepError {
  return stepErrorOf(
    new DvError(
      'DV_NOK_THOUGH_EQUAL',
      `DICT says NOK although the key base (${entries} entries) equals what DICT gave. ` +
        `Open a ticket at BACEN with these: verification ${answer.id}, correlation id ${answer.correlationId}, ` +
        `VSync sent ${vsync}, time ${answer.responseTime}. Retry the run when BACEN has answered.`,
      { correlationId: answer.correlationId },
    ),
  );
}

function keysHeld(keys: number): StepError {
  return stepErrorOf(
    new DvError(
      'DV_KEYS_HELD',
      `Everything is repaired except ${keys} keys that are held since an undo, so DICT says NOK. \`dict-vsync held\` lists them. Release them with \`dict-vsync release\` and retry the run.`,
    ),
  );
}

function registrationRefused(keys: number): StepError {
  return stepErrorOf(
    new DvError(
      'DV_REGISTRATION_REFUSED',
      `Everything is repaired except ${keys} local-only keys that DICT refused to register, so DICT says NOK. dict.divergences shows DICT's reason. The next reconciliation leaves them as UNSURE, and a person decides (dict-vsync unsure).`,
    ),
  );
}
