import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { inTransaction } from '../../src/engine/index.ts';
import { publish, type Message, type OutboxMessage, type Way } from '../../src/notify/index.ts';

export const ISPB = '12345678';

/** A message with something in it that tells it from the others. */
export function message(n: number): Message {
  return {
    type: 'reconciliation.changes',
    content: {
      runId: randomUUID(),
      changes: [{ decision: 'ADDED', key: `key ${n}`, before: null, after: { name: "João's\n\\" } }],
    },
  };
}

/** Publishes one message in a transaction of its own; throws, and so rolls back, when told to. */
export async function publishOne(
  pool: Pool,
  { participant = ISPB, keyType = 'EMAIL' as const, n = 0, fails = false } = {},
): Promise<void> {
  await inTransaction(pool, async (tx) => {
    await publish(tx, participant, keyType, randomUUID(), message(n));
    if (fails) throw new Error('rolled back');
  });
}

export interface Outboxed {
  id: string;
  participant: string;
  key_type: string;
  sequence: number;
  delivered: boolean;
  attempts: number;
  last_error: string | null;
}

export async function outbox(pool: Pool): Promise<Outboxed[]> {
  const { rows } = await pool.query<Outboxed>(
    `select id, participant, key_type, sequence::int, delivered_at is not null as delivered, attempts, last_error
     from dict.outbox order by participant, key_type, sequence`,
  );
  return rows;
}

export async function emptyOutbox(pool: Pool): Promise<void> {
  await pool.query('truncate dict.outbox, dict.outbox_sequences, dict.notifications');
}

/** A way out that keeps what it is given, and does first what it is told to. */
export function keepingWay(
  before: (messages: readonly OutboxMessage[]) => void | Promise<void> = () => undefined,
) {
  const got: OutboxMessage[] = [];
  const way: Way = {
    name: 'keeping',
    deliver: async (messages) => {
      await before(messages);
      got.push(...messages);
    },
    close: () => Promise.resolve(),
  };
  return { way, got };
}
