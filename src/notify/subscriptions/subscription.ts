import type { PulsarSettings } from '../pulsar/pulsar-connection.ts';
import { type PulsarErrors, pulsarErrors, type SettingsPrefix } from '../pulsar/pulsar-errors.ts';

/** A message of a subscription. */
export interface ReceivedMessage {
  /** The broker's id of the message. Opaque. */
  id: string;
  body: Buffer;
  /** The partition key, or '' if there is no key. */
  key: string;
  /** How often it was delivered, including this time. */
  tries: number;
}

/**
 * What happens to a message: it is acknowledged, it is delivered again soon, or it goes to the dead-letter topic with a
 * coded reason.
 */
export type Verdict = 'ack' | 'again' | { deadLetter: string };

/** The topic, by name or in full, and the subscription whose place in it is kept. */
export interface SubscriptionOptions extends PulsarSettings {
  subscription: string;
  /** The settings that URL and topic come from. Error messages name them. */
  settingsPrefix: SettingsPrefix;
  /**
   * Processes messages as they arrive: at most BATCH in one call, and only one call at a time. Throws only when it is
   * stopped (`stopping`). Then no message of the batch is acknowledged, and all are delivered again.
   */
  take(messages: readonly ReceivedMessage[], stopping: AbortSignal): Promise<readonly Verdict[]>;
  /** Topic for messages that cannot be used. A subscription of the same name keeps them there. */
  deadLetterTopic?: string;
  /** Called with an error code when the connection is lost, and with undefined when it is made. */
  onConnection?(problem: string | undefined): void;
}

/** The errors of a subscription. */
export function errorsOf({ settingsPrefix }: SubscriptionOptions): PulsarErrors {
  return pulsarErrors(settingsPrefix, 'consume');
}

export interface Subscription {
  /** Waits for the current batch, then unsubscribes. Messages without an acknowledgement go to the next subscriber. */
  close(): Promise<void>;
}

export const BATCH = 100;
/** Delay before a message is delivered again. */
export const AGAIN_MS = 1000;
