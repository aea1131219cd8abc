import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Pool } from 'pg';
import { type KeyEvent, readKeyEvent } from '../../dict/key-base/key-event.ts';
import { applyKeyEvents, type KeyEventOutcome } from '../../dict/key-base/apply-key-events.ts';
import { fromDatabase } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { subscribe } from './subscribe.ts';
import type { ReceivedMessage, Subscription, SubscriptionOptions, Verdict } from './subscription.ts';

export interface KeyEventsOptions extends Omit<
  SubscriptionOptions,
  'settingsPrefix' | 'take' | 'onConnection'
> {
  pool: Pool;
  log: Logger;
}

/** Tries of a message that cannot be applied before it goes to the dead-letter topic. */
export const TRIES = 3;
const DATABASE_PAUSE_MS = [200, 500, 1000, 2000, 5000];

/**
 * Keeps the key base by what a participant's core system publishes (docs/guides/key-events.md). A message is acknowledged once its
 * change, or why it is refused, is committed. One that fails for another reason than an absent database comes again, and is
 * put into the dead-letter topic at its third try. Errors: DV_TOPIC_INVALID, DV_NOTIFY_ADDON_MISSING.
 */
export async function consumeKeyEvents({ pool, log, ...options }: KeyEventsOptions): Promise<Subscription> {
  return subscribe({
    ...options,
    settingsPrefix: 'KEY_EVENTS',
    take: async (messages, stopping) => {
      const verdicts = await takeBatch(pool, log, messages, stopping);
      for (const [place, verdict] of verdicts.entries()) {
        if (typeof verdict !== 'object') continue;
        // The id is the broker's: it names the message without telling what it says.
        log.warn(
          { code: verdict.deadLetter, messageId: messages[place]?.id },
          'a key event goes to the dead-letter topic',
        );
      }
      return verdicts;
    },
    onConnection: (problem) => {
      if (problem === undefined) log.info('key events are subscribed to');
      else log.warn({ code: problem }, 'the subscription to key events is away; it is tried again');
    },
  });
}

async function takeBatch(
  pool: Pool,
  log: Logger,
  messages: readonly ReceivedMessage[],
  stopping: AbortSignal,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = messages.map(() => 'ack');
  const readable: { place: number; event: KeyEvent }[] = [];
  for (const [place, message] of messages.entries()) {
    try {
      const event = readKeyEvent(message.body);
      if (event !== undefined) readable.push({ place, event });
    } catch (error) {
      verdicts[place] = failed(message, error);
    }
  }
  try {
    const outcomes = await applied(pool, readable, stopping);
    report(log, readable, outcomes);
  } catch (error) {
    if (stopping.aborted) throw error;
    // One of them fails: each for itself.
    for (const item of readable) {
      try {
        report(log, [item], await applied(pool, [item], stopping));
      } catch (failure) {
        if (stopping.aborted) throw failure;
        verdicts[item.place] = failed(messages[item.place]!, failure);
      }
    }
  }
  return verdicts;
}

/** Applies events; waits as long as the database is away, for that is no event's fault. */
async function applied(
  pool: Pool,
  items: readonly { event: KeyEvent }[],
  stopping: AbortSignal,
): Promise<KeyEventOutcome[]> {
  if (items.length === 0) return [];
  for (let failures = 0; ; failures++) {
    try {
      return await applyKeyEvents(
        pool,
        items.map(({ event }) => event),
      );
    } catch (error) {
      const known = fromDatabase(error);
      if (!mayPass(known)) throw known;
      await delay(DATABASE_PAUSE_MS[Math.min(failures, DATABASE_PAUSE_MS.length - 1)], undefined, {
        signal: stopping,
      });
    }
  }
}

/** SQLSTATEs of what has nothing to do with the event: a lost race, a lock, resources, an operator, the system. */
const PASSING = /^(08|40|53|55|57|58)/;

function mayPass(error: unknown): boolean {
  if (!(error instanceof DvError)) return false;
  if (error.code === 'DV_DATABASE_UNREACHABLE') return true;
  return error.code === 'DV_DATABASE' && PASSING.test((error.cause as { code?: string }).code ?? '');
}

function failed(message: ReceivedMessage, error: unknown): Verdict {
  if (message.tries < TRIES) return 'again';
  return { deadLetter: error instanceof DvError ? error.code : 'DV_KEY_EVENT_FAILED' };
}

function report(
  log: Logger,
  items: readonly { event: KeyEvent }[],
  outcomes: readonly KeyEventOutcome[],
): void {
  for (const [place, { event }] of items.entries()) {
    const { type, participant, keyType, reason } = event;
    const outcome = outcomes[place];
    if (outcome !== 'REFUSED') continue;
    // What names no participant or key type may hold anything in their place.
    const scope = reason === null ? { participant, keyType } : {};
    log.warn({ type, ...scope, reason }, 'a key event was refused');
  }
}
