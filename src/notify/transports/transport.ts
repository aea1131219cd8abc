import type { Transaction } from '../../engine/index.ts';
import type { DvError } from '../../errors/dv-error.ts';

/** A message as the relay hands it to a transport. */
export interface OutboxMessage {
  /** The same at each attempt, so that a receiver can recognise a repetition. */
  id: string;
  participant: string;
  keyType: string; // or 'ALL'
  /** Rises within the stream (a participant and key type), without gaps except for dead messages. */
  sequence: string;
  type: string;
  /** The CloudEvent, serialised as JSON. */
  body: string;
  createdAt: Date;
}

/** Result of a batch: the first `delivered` messages are delivered. `error` is the error of the next one. */
export interface Delivery {
  delivered: number;
  error?: DvError | undefined;
}

export interface Transport {
  name: string;
  /**
   * Delivers messages of ONE stream, in order, and stops at the first that fails. An error of class not_retryable means
   * that this transport can never deliver that message. Any other error means that the transport is unreachable for
   * now. `tx` is the relay's transaction, which then marks what was delivered.
   */
  deliver(messages: readonly OutboxMessage[], tx: Transaction): Promise<Delivery>;
  close(): Promise<void>;
}
