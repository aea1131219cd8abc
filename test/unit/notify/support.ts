import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { inTransaction } from '../../../src/engine/index.ts';
import {
  publish,
  type CloudEvent,
  type Delivery,
  type Message,
  type OutboxMessage,
  type Transport,
} from '../../../src/notify/index.ts';
import { ISPB } from '../../support/key-base.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { expect } from 'vitest';

export { ISPB } from '../../support/key-base.ts';

/** A message with a content that distinguishes it from the others. */
export function message(n: number): Message {
  const cid = n.toString(16).padStart(64, '0');
  const after = {
    ...{ participant: ISPB, keyType: 'EMAIL', key: `key ${n}`, requestId: randomUUID() },
    ...{ ownerType: 'NATURAL_PERSON', taxIdNumber: '11122233300', name: "João's\n\\", tradeName: null },
    ...{ branch: null, accountNumber: '0007654321', accountType: 'CACC', openingDate: null, cid },
  };
  const change = { decision: 'ADDED' as const, key: after.key, before: null, after };
  return {
    type: 'reconciliation.changes',
    content: { runId: randomUUID(), page: 1, changes: [{ ...change, cidBefore: null, cidAfter: cid }] },
  };
}

/** Publishes one message in a transaction of its own. With `fails` it throws, and so rolls back. */
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
  dead: boolean;
}

export async function outbox(pool: Pool): Promise<Outboxed[]> {
  const { rows } = await pool.query<Outboxed>(
    `select id, participant, key_type, sequence::int, delivered_at is not null as delivered, attempts, last_error, dead_at is not null as dead
     from dict.outbox order by participant, key_type, sequence`,
  );
  return rows;
}

export async function emptyOutbox(pool: Pool): Promise<void> {
  await pool.query(
    "truncate dict.outbox, dict.outbox_sequences, dict.outbox_backoffs, dict.notifications; update workflow.clock set offset_by = interval '0'",
  );
}

/** What a transport does with a batch before it keeps what it delivered; by default it delivers everything. */
export type Behaviour = (
  messages: readonly OutboxMessage[],
) => Delivery | undefined | Promise<Delivery | undefined> | Promise<void>;

/** A transport that keeps what it delivers, after doing what the test asks for. */
export function keepingTransport(before: Behaviour = () => undefined) {
  const got: OutboxMessage[] = [];
  const transport: Transport = {
    name: 'keeping',
    deliver: async (messages) => {
      const delivery = (await before(messages)) ?? { delivered: messages.length };
      got.push(...messages.slice(0, delivery.delivered));
      return delivery;
    },
    close: () => Promise.resolve(),
  };
  return { transport, got };
}

export function eventOf({ body }: OutboxMessage): CloudEvent {
  return JSON.parse(body) as CloudEvent;
}

/** Lets the longest back-off of a stream pass. */
export async function passBackoff(pool: Pool): Promise<void> {
  await pool.query("select workflow.advance_clock('31 seconds')");
}

/** Another participant. */
export const OTHER = '00000001';
/** The error of a transport whose broker is unreachable. */
export const UNREACHABLE = new DvError('DV_NOTIFY_AWAY', 'The broker cannot be reached.', {
  class: 'retryable',
});

/** Messages alternating between two participants and two key types. */
export async function publishMany(pool: Pool, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await publishOne(pool, {
      participant: n % 2 === 0 ? ISPB : OTHER,
      keyType: (n % 3 === 0 ? 'CPF' : 'EMAIL') as 'EMAIL',
      n,
    });
  }
}

export const streamOf = ({ participant, keyType }: OutboxMessage) => `${participant}/${keyType}`;

/** Delivered in order: within each stream the sequence runs 1, 2, 3 … */
export function expectInOrder(got: readonly OutboxMessage[], count: number): void {
  expect(got).toHaveLength(count);
  for (const [name, messages] of Map.groupBy(got, streamOf)) {
    expect(
      messages.map(({ sequence }) => Number(sequence)),
      name,
    ).toEqual(messages.map((_, i) => i + 1));
  }
}
