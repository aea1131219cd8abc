import type { Transaction } from '../../engine/index.ts';
import type { DvError } from '../../errors/dv-error.ts';

/** A message as the relay hands it to a transport. */
export interface OutboxMessage {
  /** Stable: the same at each attempt, so that a receiver can tell a repetition. */
  id: string;
  participant: string;
  keyType: string; // or 'ALL'
  /** Rises per participant and key type (the stream). Without gaps but for messages put aside. */
  sequence: string;
  type: string;
  /** The CloudEvent, serialised as JSON. */
  body: string;
  createdAt: Date;
}

/** How far a batch got: the first `delivered` messages have arrived for good; `error` is what the next one met. */
export interface Delivery {
  delivered: number;
  error?: DvError | undefined;
}

export interface Transport {
  name: string;
  /** Delivers messages of ONE stream, in order, and stops at the first that fails. An error of class not_retryable means that message can never be delivered by this transport; any other means that the transport is unreachable for now. `tx` is the relay's transaction, which then marks what was delivered. */
  deliver(messages: readonly OutboxMessage[], tx: Transaction): Promise<Delivery>;
  close(): Promise<void>;
}
