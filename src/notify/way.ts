import type { Transaction } from '../engine/index.ts';

/** A message as the relay hands it to a way out. */
export interface OutboxMessage {
  /** Stable: the same at each attempt, so that a receiver can tell a repetition. */
  id: string;
  participant: string;
  keyType: string;
  /** Without gaps per participant and key type. */
  sequence: string;
  type: string;
  payload: unknown;
  createdAt: Date;
}

/** A way to Core-Dict. */
export interface Way {
  name: string;
  /**
   * Delivers messages, in order per participant and key type; throws when it can't, and all are tried again. `tx` is
   * the relay's transaction, which then marks them as delivered.
   */
  deliver(messages: readonly OutboxMessage[], tx: Transaction): Promise<void>;
  close(): Promise<void>;
}
