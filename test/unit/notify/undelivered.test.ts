import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { DvError } from '../../../src/errors/dv-error.ts';
import {
  expireMessages,
  listUndelivered,
  postgresTransport,
  readTroubledStreams,
  relayOutbox,
  retryDead,
} from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB, emptyOutbox, keepingTransport, outbox, passBackoff, publishOne } from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

/** Publishes five messages, of which the second and the fourth end up dead; returns their ids. */
async function twoDead(): Promise<string[]> {
  for (let n = 0; n < 5; n++) await publishOne(database.pool, { n });
  const { transport } = keepingTransport((messages) => {
    const at = messages.findIndex(({ sequence }) => sequence === '2' || sequence === '4');
    return at < 0 ? undefined : { delivered: at, error: new DvError('DV_NOTIFY_TOO_LARGE', 'Too large.') };
  });
  for (let n = 0; n < 6; n++) {
    await relayOutbox(database.pool, transport);
    await passBackoff(database.pool);
  }
  const dead = (await outbox(database.pool)).filter((row) => row.dead).map(({ id }) => id);
  expect(dead).toHaveLength(2);
  return dead;
}

describe('dead messages', () => {
  test('are listed, and sent again by id or all together, once, at the end of the stream', async () => {
    const [second = '', fourth = ''] = await twoDead();
    expect(await listUndelivered(database.pool, { limit: 10 })).toMatchObject({
      waiting: 0,
      dead: 2,
      messages: [
        { id: second, sequence: '2', state: 'DEAD', attempts: 3, errorCode: 'DV_NOTIFY_TOO_LARGE' },
        { id: fourth, sequence: '4', state: 'DEAD' },
      ],
    });
    expect(await retryDead(database.pool, [fourth])).toBe(1);
    expect(await listUndelivered(database.pool, { limit: 10 })).toMatchObject({ waiting: 1, dead: 1 });
    expect((await listUndelivered(database.pool, { state: 'WAITING', limit: 10 })).messages).toMatchObject([
      { id: fourth, sequence: '6', errorCode: null },
    ]);
    expect(await retryDead(database.pool)).toBe(1);
    expect(await retryDead(database.pool)).toBe(0);
    const { transport, got } = keepingTransport();
    expect(await relayOutbox(database.pool, transport)).toBe(2);
    expect(got.map(({ id, sequence }) => [id, sequence])).toEqual([
      [fourth, '6'],
      [second, '7'],
    ]);
  });

  test('are the only ones accepted: with any other id in the list none is sent', async () => {
    const [second = ''] = await twoDead();
    const delivered = (await outbox(database.pool)).find((row) => row.delivered)!.id;
    for (const other of [delivered, randomUUID()]) {
      await expect(retryDead(database.pool, [second, other])).rejects.toMatchObject({
        code: 'DV_MESSAGE_NOT_DEAD',
      });
    }
    expect(await listUndelivered(database.pool, { limit: 1 })).toMatchObject({ waiting: 0, dead: 2 });
  });
});

test('a stream is in trouble when it has dead messages, or one that has waited for more than ten minutes', async () => {
  await publishOne(database.pool, { participant: '00000001' });
  expect(await readTroubledStreams(database.pool)).toEqual([]);
  await relayOutbox(database.pool, keepingTransport().transport);
  await twoDead();
  await database.pool.query("update dict.outbox set created_at = workflow.now() - interval '1 hour'");
  await publishOne(database.pool, { participant: '00000002' });
  const trouble = { participant: ISPB, keyType: 'EMAIL', dead: 2 };
  expect(await readTroubledStreams(database.pool)).toMatchObject([{ ...trouble, waitingSince: null }]);
  await database.pool.query("select workflow.advance_clock('11 minutes')");
  expect(await readTroubledStreams(database.pool)).toMatchObject([
    { participant: '00000002', dead: 0, waitingSince: expect.any(Date) as unknown },
    trouble,
  ]);
});

test('retention deletes delivered messages in batches; pending and dead messages stay', async () => {
  await twoDead();
  const { transport } = keepingTransport();
  for (let n = 0; n < 3; n++) await publishOne(database.pool, { n, participant: '00000001' });
  await relayOutbox(database.pool, postgresTransport());
  await database.pool.query(
    `insert into dict.outbox (participant, key_type, sequence, type, payload, created_at, delivered_at)
     select '00000003', 'CPF', n, 'x', '{}', workflow.now(), workflow.now() from generate_series(1, 2500) n`,
  );
  expect(await expireMessages(database.pool, 30)).toBe(0);
  await database.pool.query("select workflow.advance_clock('30 days 1 minute')");
  await publishOne(database.pool, { participant: '00000004' });
  await relayOutbox(database.pool, transport);
  // Of the outbox 3 + 3 + 2,500; of dict.notifications 3, whose time of delivery is the real clock's.
  await database.pool.query(
    "update dict.notifications set delivered_at = delivered_at - interval '1 minute'",
  );
  expect(await expireMessages(database.pool, 30)).toBe(2509);
  expect((await outbox(database.pool)).map(({ participant, dead }) => [participant, dead])).toEqual([
    ['00000004', false],
    [ISPB, true],
    [ISPB, true],
  ]);
  const { rowCount } = await database.pool.query('select from dict.notifications');
  expect(rowCount).toBe(0);
});
