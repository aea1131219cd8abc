import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { expect } from 'vitest';
import { inTransaction } from '../../../src/engine/index.ts';
import {
  openTransport,
  type PulsarSettings,
  relayOutbox,
  type Transport,
} from '../../../src/notify/index.ts';
import type { Broker } from '../../support/pulsar/start-pulsar.ts';
import type { Received } from '../../support/pulsar/namespace.ts';
import { ISPB, passBackoff } from './support.ts';

/** Whether the native client's addon is installed. */
export const addon: boolean = await import('pulsar-client').then(
  () => true,
  () => false,
);

type Urls = Pick<Broker, 'serviceUrl' | 'webSocketUrl'>;

/** The transports to a broker, with the NOTIFY_URL of each; the native one where its addon is installed. */
export const TRANSPORTS: readonly (readonly [name: string, url: (at: Urls) => string])[] = [
  ['websocket', ({ webSocketUrl }) => webSocketUrl],
  ...(addon ? [['native', ({ serviceUrl }: Urls) => serviceUrl] as const] : []),
];

/** A transport that is closed with the test. */
export async function testTransport(
  url: string,
  topic: string,
  more: Partial<PulsarSettings> = {},
): Promise<Transport> {
  return openTransport({ url, topic, ...more });
}

/** Puts small messages into the outbox, in one transaction; `pad` makes their content longer by that much. */
export async function publishSmall(
  pool: Pool,
  count: number,
  { participant = ISPB, keyType = 'EMAIL', pad = 0 } = {},
): Promise<void> {
  const content = JSON.stringify({ runId: randomUUID(), text: "João's\n\\", pad: 'x'.repeat(pad) });
  await inTransaction(pool, (tx) =>
    tx.query(
      `select dict.publish($1, $2, 'reconciliation.notification', $3::jsonb || jsonb_build_object('n', n), null)
       from generate_series(1, $4) n`,
      [participant, keyType, content, count],
    ),
  );
}

/**
 * Relays until every message is delivered or dead, however often a stream has to back off. Returns how often it did.
 */
export async function relayAll(pool: Pool, transport: Transport): Promise<number> {
  for (let rounds = 0; ; rounds++) {
    await relayOutbox(pool, transport);
    const { rows } = await pool.query(
      'select from dict.outbox where delivered_at is null and dead_at is null limit 1',
    );
    if (rows.length === 0) return rounds;
    await passBackoff(pool);
  }
}

/**
 * Checks what a consumer received: each delivered message of the outbox once, in order, with its content and labels.
 */
export async function expectReceived(pool: Pool, received: readonly Received[]): Promise<void> {
  const { rows } = await pool.query<{
    id: string;
    type: string;
    key: string;
    sequence: string;
    payload: unknown;
  }>(
    `select id, type, participant || '/' || key_type as key, sequence, payload from dict.outbox
     where delivered_at is not null order by participant, key_type, sequence`,
  );
  const streams = Map.groupBy(received, ({ key }) => key);
  const ordered = [...streams.keys()].sort().flatMap((key) => streams.get(key)!);
  const sent = rows.map(({ id, type, key, sequence, payload }) => ({
    id,
    type,
    key,
    sequence,
    data: payload,
  }));
  expect(
    ordered.map(({ key, properties, body }) => {
      const { id, type, sequence } = properties as { id: string; type: string; sequence: string };
      return { id, type, key, sequence, data: (JSON.parse(body) as { data: unknown }).data };
    }),
  ).toEqual(sent.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)));
}

/** The code of the error for which a stream backs off. */
export async function failing(pool: Pool): Promise<string | undefined> {
  const { rows } = await pool.query<{ error_code: string }>('select error_code from dict.outbox_backoffs');
  return rows[0]?.error_code;
}
