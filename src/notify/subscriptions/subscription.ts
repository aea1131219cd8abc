import type { PulsarSettings } from '../pulsar/pulsar-connection.ts';
import { type PulsarErrors, pulsarErrors, type SettingsPrefix } from '../pulsar/pulsar-errors.ts';

/** A message as a subscription hands it over. */
export interface ReceivedMessage {
  /** The broker's id, opaque. */
  id: string;
  body: Buffer;
  /** The partition key; '' without one. */
  key: string;
  /** How often it was delivered, this time included. */
  tries: number;
}

/**
 * What becomes of a message: it is done, it shall come again in a moment, or it goes to the dead-letter topic with a
 * coded reason.
 */
export type Verdict = 'ack' | 'again' | { deadLetter: string };

/** The topic, in short or whole, and whose place in it is kept. */
export interface SubscriptionOptions extends PulsarSettings {
  subscription: string;
  /** Whose URL and topic these are: the texts of errors name those settings. */
  settingsPrefix: SettingsPrefix;
  /**
   * Takes messages as they come, at most BATCH at once and never two batches at the same time. Throws only when it is
   * stopped (`stopping`): then none of them is done, and all come again.
   */
  take(messages: readonly ReceivedMessage[], stopping: AbortSignal): Promise<readonly Verdict[]>;
  /** Where messages go that cannot be used; a subscription of the same name keeps them there. */
  deadLetterTopic?: string;
  /** Hears of a connection that is away (a code) and back (undefined). */
  onConnection?(problem: string | undefined): void;
}

/** The errors of a subscription. */
export function errorsOf({ settingsPrefix }: SubscriptionOptions): PulsarErrors {
  return pulsarErrors(settingsPrefix, 'consume');
}

export interface Subscription {
  /** Lets the batch under way end, then leaves. What was not acknowledged comes again, to whoever subscribes next. */
  close(): Promise<void>;
}

export const BATCH = 100;
/** Until a message that shall come again does. */
export const AGAIN_MS = 1000;
