import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { relayOutbox, type Delivery, type OutboxMessage } from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import {
  UNREACHABLE,
  ISPB,
  OTHER,
  emptyOutbox,
  expectInOrder,
  keepingTransport,
  outbox,
  passBackoff,
  publishMany,
  streamOf,
} from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

test('it delivers everything once, in order, in batches of one stream each, and returns how many', async () => {
  await publishMany(database.pool, 250);
  const batches: number[] = [];
  const { transport, got } = keepingTransport((messages) => {
    batches.push(new Set(messages.map(streamOf)).size);
    return undefined;
  });
  expect(await relayOutbox(database.pool, transport)).toBe(250);
  expectInOrder(got, 250);
  expect(new Set(batches)).toEqual(new Set([1]));
  expect(got.find((message) => streamOf(message) === `${OTHER}/CPF`)).toMatchObject({
    sequence: '1',
    type: 'reconciliation.changes',
    createdAt: expect.any(Date) as unknown,
  });
  expect(
    new Set((await outbox(database.pool)).map(({ delivered, attempts }) => `${delivered} ${attempts}`)),
  ).toEqual(new Set(['true 1']));
  expect(await relayOutbox(database.pool, transport)).toBe(0);
  expect(got).toHaveLength(250);
});

test('two simultaneous relays deliver each message once, in order', async () => {
  await publishMany(database.pool, 60);
  const delivering = Promise.withResolvers<void>();
  const proceed = Promise.withResolvers<void>();
  const { transport, got } = keepingTransport(async () => {
    delivering.resolve();
    await proceed.promise;
  });
  const first = relayOutbox(database.pool, transport);
  await delivering.promise;
  // The four streams belong to the first one.
  await expect.poll(() => streamsLocked()).toBe(4);
  expect(await relayOutbox(database.pool, transport)).toBe(0);
  proceed.resolve();
  expect(await first).toBe(60);
  expectInOrder(got, 60);
});

async function streamsLocked(): Promise<number> {
  const { rows } = await database.pool.query<{ n: number }>(
    `select count(*)::int as n from pg_locks where locktype = 'advisory' and classid = (hashtext('dict-vsync relay')::bigint & 4294967295)::oid
       and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows[0]!.n;
}

test('whatever relays, failures and publishers meet, each stream is delivered in order, with stable ids', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('all', 'all', 'part', 'unreachable', 'throws'), { maxLength: 12 }),
      fc.integer({ min: 2, max: 3 }),
      fc.integer({ min: 5, max: 20 }),
      async (moods, relays, count) => {
        await emptyOutbox(database.pool);
        const left = [...moods];
        const { transport, got } = keepingTransport((messages): Delivery | undefined => {
          const mood = left.shift();
          if (mood === 'throws') throw new TypeError('broke');
          if (mood === 'unreachable') return { delivered: 0, error: UNREACHABLE };
          if (mood === 'part') return { delivered: Math.floor(messages.length / 2), error: UNREACHABLE };
          return undefined;
        });
        let publishing = true;
        const relay = async () => {
          while (publishing) {
            await relayOutbox(database.pool, transport);
            await passBackoff(database.pool);
          }
        };
        const relaying = Array.from({ length: relays }, relay);
        const published = Promise.all([
          publishMany(database.pool, count),
          publishMany(database.pool, count),
        ]).finally(() => {
          publishing = false;
        });
        await Promise.all([published, ...relaying]);
        for (let round = 0; got.length < 2 * count && round < 20; round++) {
          await passBackoff(database.pool);
          await relayOutbox(database.pool, transport);
        }
        expectInOrder(got, 2 * count);
        const rows = await outbox(database.pool);
        expect(got.map(({ id }) => id).sort()).toEqual(rows.map(({ id }) => id).sort());
        expect(rows.every(({ delivered, dead }) => delivered && !dead)).toBe(true);
      },
    ),
    { numRuns: 10, endOnFailure: true },
  );
});

test('neither an uncommitted message nor one after it in its sequence is delivered', async () => {
  await publishMany(database.pool, 4);
  const client = await database.pool.connect();
  await client.query(`begin; select dict.publish('${ISPB}', 'EMAIL', 'x', '{}', null)`);
  const { transport, got } = keepingTransport();
  expect(await relayOutbox(database.pool, transport)).toBe(4);
  await client.query('commit');
  client.release();
  expect(await relayOutbox(database.pool, transport)).toBe(1);
  expectInOrder(got, 5);
});

test('after a relay was killed between sending and marking, the same messages are sent again with the same ids', async () => {
  await publishMany(database.pool, 5);
  const sent: OutboxMessage[] = [];
  let killed = 0;
  const { transport, got } = keepingTransport(async (messages) => {
    sent.push(...messages);
    // The state that a killed process leaves: its connection is gone before it could mark.
    const { rowCount } = await database.pool.query(
      `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()
         and classid = (hashtext('dict-vsync relay')::bigint & 4294967295)::oid
         and database = (select oid from pg_database where datname = current_database())`,
    );
    killed += rowCount ?? 0;
  });
  await expect(relayOutbox(database.pool, transport)).rejects.toThrow();
  const again = keepingTransport();
  await expect.poll(() => streamsLocked()).toBe(0);
  expect(await relayOutbox(database.pool, again.transport)).toBe(5);
  expect(again.got).toEqual(expect.arrayContaining(sent));
  expect(got).toHaveLength(sent.length);
  expect(killed).toBeGreaterThan(0);
  expectInOrder(again.got, 5);
});

test('a stream that fails in Postgres blocks no other', async () => {
  await publishMany(database.pool, 6);
  await database.pool.query(`create function public.refuse_row() returns trigger language plpgsql as $$
    begin raise exception 'refused by the test'; end $$;
    create trigger refuse_row before update on dict.outbox for each row when (new.participant = '${OTHER}')
      execute function public.refuse_row()`);
  const { transport } = keepingTransport();
  await expect(relayOutbox(database.pool, transport)).rejects.toThrow('refused by the test');
  await database.pool.query('drop trigger refuse_row on dict.outbox');
  const rows = await outbox(database.pool);
  expect(rows.filter(({ delivered }) => delivered).map(({ participant }) => participant)).toEqual(
    Array.from({ length: 3 }, () => ISPB),
  );
  expect(await relayOutbox(database.pool, transport)).toBe(3);
});
