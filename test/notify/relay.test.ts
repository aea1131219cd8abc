import { beforeEach, expect, test, vi } from 'vitest';
import { DvError } from '../../src/errors.ts';
import { postgresWay, relayOutbox, type OutboxMessage } from '../../src/notify/index.ts';
import { useTestDatabase } from '../support/database.ts';
import { ISPB, emptyOutbox, keepingWay, outbox, publishOne } from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

/** Messages to two participants and two key types, in turns. */
async function publishMany(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await publishOne(database.pool, {
      participant: n % 2 === 0 ? ISPB : '00000001',
      keyType: (n % 3 === 0 ? 'CPF' : 'EMAIL') as 'EMAIL',
      n,
    });
  }
}

/** Delivered in order: within each participant and key type the sequence runs 1, 2, 3 … */
function expectInOrder(got: readonly OutboxMessage[], count: number): void {
  expect(got).toHaveLength(count);
  for (const [name, messages] of Map.groupBy(got, ({ participant, keyType }) => participant + keyType)) {
    expect(
      messages.map(({ sequence }) => Number(sequence)),
      name,
    ).toEqual(messages.map((_, i) => i + 1));
  }
}

test('it delivers everything once, in order, in batches, and says how many', async () => {
  await publishMany(250);
  const { way, got } = keepingWay();
  expect(await relayOutbox(database.pool, way)).toBe(250);
  expectInOrder(got, 250);
  expect(got[0]).toMatchObject({
    participant: '00000001',
    keyType: 'CPF',
    sequence: '1',
    type: 'reconciliation.changes',
    payload: { changes: [{ decision: 'ADDED' }] },
    createdAt: expect.any(Date),
  });
  expect(
    new Set((await outbox(database.pool)).map(({ delivered, attempts }) => `${delivered} ${attempts}`)),
  ).toEqual(new Set(['true 1']));
  expect(await relayOutbox(database.pool, way)).toBe(0);
  expect(got).toHaveLength(250);
});

test('two relays at once deliver each message once, in order', async () => {
  await publishMany(60);
  const delivering = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { way, got } = keepingWay(async () => {
    delivering.resolve();
    await goOn.promise;
  });
  const first = relayOutbox(database.pool, way);
  await delivering.promise;
  expect(await relayOutbox(database.pool, way)).toBe(0);
  goOn.resolve();
  expect(await first).toBe(60);
  expectInOrder(got, 60);
});

test('many relays beside many publishers: still each once and in order', async () => {
  const { way, got } = keepingWay();
  let publishing = true;
  const relays = Array.from({ length: 2 }, async () => {
    while (publishing) await relayOutbox(database.pool, way);
  });
  await Promise.all([publishMany(60), publishMany(60)]);
  publishing = false;
  await Promise.all(relays);
  await relayOutbox(database.pool, way);
  expectInOrder(got, 120);
});

test('a message not committed is not delivered, nor one after it in its sequence', async () => {
  await publishMany(4);
  const client = await database.pool.connect();
  await client.query(`begin; select dict.publish('${ISPB}', 'EMAIL', 'x', '{}', null)`);
  const { way, got } = keepingWay();
  expect(await relayOutbox(database.pool, way)).toBe(4);
  await client.query('commit');
  client.release();
  expect(await relayOutbox(database.pool, way)).toBe(1);
  expectInOrder(got, 5);
});

test('when the way fails nothing is delivered, the attempt is counted with its reason, and all come later by the same id', async () => {
  await publishMany(5);
  const ids = (await outbox(database.pool)).map(({ id }) => id);
  const tried: string[] = [];
  const failing = vi
    .fn<(messages: readonly OutboxMessage[]) => void>()
    .mockImplementationOnce(() => {
      throw new DvError('DV_PULSAR_DOWN', 'The broker cannot be reached.');
    })
    .mockImplementationOnce(() => {
      throw new TypeError('João broke it');
    });
  const { way, got } = keepingWay((messages) => {
    tried.push(...messages.map(({ id }) => id));
    failing(messages);
  });
  await expect(relayOutbox(database.pool, way)).rejects.toMatchObject({ code: 'DV_PULSAR_DOWN' });
  const failed = { delivered: false, attempts: 1, last_error: 'DV_PULSAR_DOWN' };
  expect(await outbox(database.pool)).toMatchObject(ids.map((id) => ({ id, ...failed })));
  await expect(relayOutbox(database.pool, way)).rejects.toThrow('João broke it');
  // The error's text may hold personal data: only its name is kept.
  expect(new Set((await outbox(database.pool)).map(({ last_error }) => last_error))).toEqual(
    new Set(['TypeError']),
  );
  expect(got).toEqual([]);
  expect(await relayOutbox(database.pool, way)).toBe(5);
  expect(await outbox(database.pool)).toMatchObject(ids.map((id) => ({ id, delivered: true, attempts: 3 })));
  expect(tried).toEqual([...ids, ...ids, ...ids]);
});

test('a batch that fails after earlier ones leaves those delivered', async () => {
  await publishMany(150);
  let batches = 0;
  const { way } = keepingWay(() => {
    if (++batches === 2) throw new Error('gone');
  });
  await expect(relayOutbox(database.pool, way)).rejects.toThrow('gone');
  const rows = await outbox(database.pool);
  expect(rows.filter(({ delivered }) => delivered)).toHaveLength(100);
  expect(rows.filter(({ delivered, attempts }) => !delivered && attempts === 1)).toHaveLength(50);
});

test('what a way writes in the transaction of the relay goes when it fails', async () => {
  await publishMany(3);
  const postgres = postgresWay();
  const way = {
    ...postgres,
    deliver: async (...args: Parameters<typeof postgres.deliver>) => {
      await postgres.deliver(...args);
      throw new Error('after all');
    },
  };
  await expect(relayOutbox(database.pool, way)).rejects.toThrow('after all');
  expect((await database.pool.query('select from dict.notifications')).rowCount).toBe(0);
  expect(await relayOutbox(database.pool, postgres)).toBe(3);
  expect((await database.pool.query('select from dict.notifications')).rowCount).toBe(3);
});
