import type { Notification } from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { connect } from '../../../src/database/pool.ts';
import { CHANNEL, postgresTransport, relayOutbox } from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { expectValidEvent } from '../../support/schemas.ts';
import { ISPB, emptyOutbox, outbox, passBackoff, publishOne } from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

test('each message becomes a row, announced to listeners by its id, without content', async () => {
  const listener = await connect(database.url, 'core-dict');
  const received: Notification[] = [];
  listener.on('notification', (notification) => received.push(notification));
  await listener.query(`listen ${CHANNEL}`);
  for (const n of [1, 2, 3]) await publishOne(database.pool, { n });
  await publishOne(database.pool, { participant: '00000001' });

  const transport = postgresTransport();
  expect(await relayOutbox(database.pool, transport)).toBe(4);
  await expect.poll(() => received.length).toBe(4);
  const announced = (await outbox(database.pool)).map(({ id, participant, sequence }) => ({
    id,
    participant,
    keyType: 'EMAIL',
    sequence,
    type: 'reconciliation.changes',
  }));
  expect(received.map(({ payload }) => JSON.parse(payload!) as unknown)).toEqual(announced);

  const { rows } = await listener.query(
    `select n.*, n.delivered_at >= n.created_at as later,
       o.payload = n.payload -> 'data' and o.created_at = n.created_at as same
     from dict.notifications n join dict.outbox o using (id) order by n.participant, n.key_type, n.sequence`,
  );
  expect(rows).toMatchObject(
    announced.map(({ id, participant, sequence }) => ({
      id,
      participant,
      sequence: String(sequence),
      key_type: 'EMAIL',
      same: true,
      later: true,
    })),
  );
  for (const { payload } of rows) expectValidEvent(payload);
  expect(rows.at(-1).payload.data.changes).toMatchObject([{ key: 'key 3', after: { name: "João's\n\\" } }]);
  await listener.end();
  await transport.close();
});

test('nothing is announced before it is committed, and nothing twice', async () => {
  const listener = await connect(database.url, 'core-dict');
  const received: string[] = [];
  listener.on('notification', ({ payload }) => received.push((JSON.parse(payload!) as { id: string }).id));
  await listener.query(`listen ${CHANNEL}`);
  await publishOne(database.pool);
  const { id } = (await outbox(database.pool))[0]!;
  const transport = postgresTransport();
  const failing = relayOutbox(database.pool, {
    ...transport,
    // Killed between sending and marking.
    deliver: async (messages, tx) => {
      await transport.deliver(messages, tx);
      await tx.query('select pg_terminate_backend(pg_backend_pid())');
      return { delivered: messages.length };
    },
  });
  expect(await failing).toBe(0);
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, transport)).toBe(1);
  // The mark of delivery lost, as by a manual change: the message is there already.
  await database.pool.query('update dict.outbox set delivered_at = null');
  expect(await relayOutbox(database.pool, transport)).toBe(1);
  await listener.query(`notify ${CHANNEL}, '{"id": "last"}'`);
  await expect.poll(() => received.at(-1)).toBe('last');
  expect(received).toEqual([id, 'last']);
  const { rows } = await database.pool.query('select id, participant from dict.notifications');
  expect(rows).toEqual([{ id, participant: ISPB }]);
  await listener.end();
});
