import { roundActivity } from '../src/workflows/define-activity.ts';
import { NOKS_BELIEVED } from '../src/workflows/verification/context.ts';
import { completeSyncVerification, sendVSync } from '../src/dict/vsync/sync-verification.ts';
import { type StepError, stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { one } from '../src/errors/rows.ts';
import type { Db } from '../src/dict/vsync/vsync-store.ts';

/** Rounds after which a reconciliation fails if DICT still answers NOK. */
const ROUNDS = 3;

/**
 * Sends the new VSync to DICT after a repair (Manual §9). The VSync is read again each time; the third NOK counts.
 * `nok` starts another round. `still_nok` means that the rounds are used up or that only a person can continue.
 * `quarantined` means that everything is repaired except what DICT kept failing on.
 */
export default roundActivity<'again' | 'ok' | 'nok' | 'still_nok' | 'quarantined'>(
  async ({ run, input, context, signal, log }, { pool, bridge, settings }) => {
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
      const left = await leftUndone(tx, run.id, round);
      if (left.quarantined > 0 && (left.others === 0 || noks + 1 >= ROUNDS)) {
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
        error: stepErrorOf(
          new DvError(
            'DV_STILL_NOK',
            `DICT says NOK after ${ROUNDS} rounds of repair. dict.divergences shows what was left alone and why. Retry the run to begin again.`,
          ),
        ),
      };
    };
  },
);

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
      `Everything is repaired except ${keys} local-only keys that DICT refused to register, so DICT says NOK. dict.divergences shows DICT's reason. The next reconciliation removes them unless a person decides otherwise.`,
    ),
  );
}

interface LeftUndone {
  quarantined: number;
  inFlight: number;
  /** Keys still held. */
  held: number;
  /** Local-only keys that DICT refused to register. */
  unregistered: number;
  /** Divergences that another round may decide differently. */
  others: number;
}

/** What the round's repair left alone. */
async function leftUndone(tx: Db, runId: string, round: number): Promise<LeftUndone> {
  const { rows } = await tx.query<LeftUndone>(
    `select count(*) filter (where decision = 'QUARANTINED')::integer as quarantined,
       count(*) filter (where decision = 'IN_FLIGHT')::integer as "inFlight",
       count(distinct d.key) filter (where decision = 'HELD' and h.key is not null)::integer as held,
       count(*) filter (where decision = 'REFUSED' and plan = 'REGISTER')::integer as unregistered,
       count(*) filter (where decision in ('IN_FLIGHT', 'SUPERSEDED') or decision = 'REFUSED' and plan is null
         or decision = 'HELD' and h.key is null)::integer as others
     from dict.divergences d join dict.reconciliations n using (run_id)
     left join dict.held_keys h on (h.participant, h.key_type, h.key) = (n.participant, n.key_type, d.key)
       and h.released_at is null
     where d.run_id = $1 and d.round = $2`,
    [runId, round],
  );
  return one(rows);
}
