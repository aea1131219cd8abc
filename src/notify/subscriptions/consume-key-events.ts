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

/** How often a message is tried before it goes to the dead-letter topic. */
export const TRIES = 3;
const DATABASE_PAUSE_MS = [200, 500, 1000, 2000, 5000];

/**
 * Applies to the key base the key events that a participant's core system publishes (docs/guides/key-events.md). A
 * message is acknowledged after its change, or the reason for its refusal, is committed. If it fails for any other
 * reason than an unreachable database, it is delivered again. At the third failure it goes to the dead-letter topic.
 * Errors: DV_TOPIC_INVALID, DV_NOTIFY_ADDON_MISSING.
 */
export async function consumeKeyEvents({ pool, log, ...options }: KeyEventsOptions): Promise<Subscription> {
  return subscribe({
    ...options,
    settingsPrefix: 'KEY_EVENTS',
    take: async (messages, stopping) => {
      const verdicts = await takeBatch(pool, log, messages, stopping);
      for (const [place, verdict] of verdicts.entries()) {
        if (typeof verdict !== 'object') continue;
        // The id comes from the broker. It identifies the message without its content.
        log.warn(
          { code: verdict.deadLetter, messageId: messages[place]?.id },
          'a key event goes to the dead-letter topic',
        );
      }
      return verdicts;
    },
    onConnection: (problem) => {
      if (problem === undefined) log.info('subscribed to key events');
      else
        log.warn(
          { code: problem },
          'the subscription to key events is not connected; the connection is retried',
        );
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
    // One of them fails, so each is applied separately.
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

/** Applies events. Waits while the database is unreachable, because no event causes that. */
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

/**
 * SQLSTATEs that the event does not cause: a conflict between transactions, a lock, resources, an operator, the system.
 */
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
    // An event with a reason was not fully readable: anything may be in place of its participant and key type.
    const scope = reason === null ? { participant, keyType } : {};
    log.warn({ type, ...scope, reason }, 'a key event was refused');
  }
}
