import fc from 'fast-check';
import { beforeEach, expect, test, vi } from 'vitest';
import { DvError } from '../../../src/errors/dv-error.ts';
import {
  postgresTransport,
  relayOutbox,
  type Delivery,
  type OutboxMessage,
} from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { capturedLog } from '../../support/log.ts';
import { ISPB, emptyOutbox, eventOf, keepingTransport, outbox, passBackoff, publishOne } from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

const OTHER = '00000001';
const AWAY = new DvError('DV_NOTIFY_AWAY', 'The broker cannot be reached.');
const REFUSED = new DvError('DV_NOTIFY_TOO_LARGE', 'The broker refuses it.');

/** Messages to two participants and two key types, in turns. */
async function publishMany(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await publishOne(database.pool, {
      participant: n % 2 === 0 ? ISPB : OTHER,
      keyType: (n % 3 === 0 ? 'CPF' : 'EMAIL') as 'EMAIL',
      n,
    });
  }
}

const streamOf = ({ participant, keyType }: OutboxMessage) => `${participant}/${keyType}`;

/** Delivered in order: within each stream the sequence runs 1, 2, 3 … */
function expectInOrder(got: readonly OutboxMessage[], count: number): void {
  expect(got).toHaveLength(count);
  for (const [name, messages] of Map.groupBy(got, streamOf)) {
    expect(
      messages.map(({ sequence }) => Number(sequence)),
      name,
    ).toEqual(messages.map((_, i) => i + 1));
  }
}

const backoffs = async () =>
  (
    await database.pool.query<{ name: string; failures: number; error_code: string; wait: number }>(
      `select participant || '/' || key_type as name, failures, error_code,
         extract(epoch from retry_at - workflow.now())::float8 as wait
       from dict.outbox_backoffs order by 1`,
    )
  ).rows;

test('it delivers everything once, in order, in batches of one stream each, and says how many', async () => {
  await publishMany(250);
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

test('two relays at once deliver each message once, in order', async () => {
  await publishMany(60);
  const delivering = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { transport, got } = keepingTransport(async () => {
    delivering.resolve();
    await goOn.promise;
  });
  const first = relayOutbox(database.pool, transport);
  await delivering.promise;
  // The four streams are the first one's.
  await expect.poll(() => streamsLocked()).toBe(4);
  expect(await relayOutbox(database.pool, transport)).toBe(0);
  goOn.resolve();
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

test('whatever relays, failures and publishers come together: in order, by stable ids, each stream of its own', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('all', 'all', 'part', 'away', 'throws'), { maxLength: 12 }),
      fc.integer({ min: 2, max: 3 }),
      fc.integer({ min: 5, max: 20 }),
      async (moods, relays, count) => {
        await emptyOutbox(database.pool);
        const left = [...moods];
        const { transport, got } = keepingTransport((messages): Delivery | undefined => {
          const mood = left.shift();
          if (mood === 'throws') throw new TypeError('broke');
          if (mood === 'away') return { delivered: 0, error: AWAY };
          if (mood === 'part') return { delivered: Math.floor(messages.length / 2), error: AWAY };
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
        const published = Promise.all([publishMany(count), publishMany(count)]).finally(() => {
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

test('a message not committed is not delivered, nor one after it in its sequence', async () => {
  await publishMany(4);
  const client = await database.pool.connect();
  await client.query(`begin; select dict.publish('${ISPB}', 'EMAIL', 'x', '{}', null)`);
  const { transport, got } = keepingTransport();
  expect(await relayOutbox(database.pool, transport)).toBe(4);
  await client.query('commit');
  client.release();
  expect(await relayOutbox(database.pool, transport)).toBe(1);
  expectInOrder(got, 5);
});

test('a relay killed between sending and marking: sent again, the same messages by the same ids', async () => {
  await publishMany(5);
  const sent: OutboxMessage[] = [];
  let killed = 0;
  const { transport, got } = keepingTransport(async (messages) => {
    sent.push(...messages);
    // What a killed process leaves: its connection is gone before it could mark.
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

test('a stream that Postgres fails on holds up no other', async () => {
  await publishMany(6);
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

test('a way that is away: its stream backs off, longer each time up to 30 s, and recovers; the others go on', async () => {
  await publishMany(6);
  const { log, lines } = await capturedLog('info');
  let away = true;
  const { transport, got } = keepingTransport((messages) =>
    away && streamOf(messages[0]!) === `${ISPB}/EMAIL` ? { delivered: 0, error: AWAY } : undefined,
  );
  expect(await relayOutbox(database.pool, transport, { log })).toBe(4);
  const [first] = await backoffs();
  expect(first).toMatchObject({ name: `${ISPB}/EMAIL`, failures: 1, error_code: 'DV_NOTIFY_AWAY' });
  expect(first!.wait).toBeGreaterThan(0);
  expect(first!.wait).toBeLessThanOrEqual(1);
  // Not before its time.
  const before = await outbox(database.pool);
  expect(await relayOutbox(database.pool, transport, { log })).toBe(0);
  expect(await outbox(database.pool)).toEqual(before);
  const waits: number[] = [];
  for (let n = 2; n <= 8; n++) {
    await passBackoff(database.pool);
    expect(await relayOutbox(database.pool, transport, { log })).toBe(0);
    const [backoff] = await backoffs();
    expect(backoff!.failures).toBe(n);
    waits.push(backoff!.wait);
  }
  for (const [n, wait] of waits.entries()) {
    const most = Math.min(30, 2 ** (n + 1));
    expect(wait).toBeGreaterThan(most / 2 - 0.5);
    expect(wait).toBeLessThanOrEqual(most);
  }
  away = false;
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, transport, { log })).toBe(2);
  expect(await backoffs()).toEqual([]);
  expectInOrder(got, 6);
  // Said once when it fails, once when it is back.
  expect(lines().map(({ msg }) => msg)).toEqual([
    'the way to Core-Dict fails; it is tried again',
    'the way to Core-Dict is back',
  ]);
});

test('the part of a batch that arrived is not sent again', async () => {
  for (let n = 0; n < 10; n++) await publishOne(database.pool, { n });
  let failing = true;
  const { transport, got } = keepingTransport(() => (failing ? { delivered: 7, error: AWAY } : undefined));
  expect(await relayOutbox(database.pool, transport)).toBe(7);
  failing = false;
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, transport)).toBe(3);
  expectInOrder(got, 10);
  expect((await outbox(database.pool)).map(({ attempts }) => attempts)).toEqual([
    ...Array<number>(7).fill(1),
    ...[2, 1, 1],
  ]);
});

test('an error that a way throws is kept by its name only, and nothing is lost', async () => {
  await publishMany(1);
  const failing = vi.fn<() => undefined>().mockImplementationOnce(() => {
    throw new TypeError('João broke it');
  });
  const { transport, got } = keepingTransport(() => failing());
  expect(await relayOutbox(database.pool, transport)).toBe(0);
  expect(await backoffs()).toMatchObject([{ failures: 1, error_code: 'TypeError' }]);
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, transport)).toBe(1);
  expectInOrder(got, 1);
});

test('a way that never answers is away, and holds up its own stream only', async () => {
  await publishMany(2);
  const { transport, got } = keepingTransport(async (messages) =>
    streamOf(messages[0]!).startsWith(OTHER) ? new Promise<undefined>(() => undefined) : undefined,
  );
  expect(await relayOutbox(database.pool, transport, { timeoutMs: 50 })).toBe(1);
  expect(await backoffs()).toMatchObject([{ name: `${OTHER}/EMAIL`, error_code: 'DV_NOTIFY_TIMEOUT' }]);
  await passBackoff(database.pool);
  const later = keepingTransport();
  expect(await relayOutbox(database.pool, later.transport)).toBe(1);
  expectInOrder([...got, ...later.got], 2);
});

test('what a way writes in the transaction of the relay goes when it fails', async () => {
  await publishMany(3);
  const postgres = postgresTransport();
  const transport = {
    ...postgres,
    deliver: async (...args: Parameters<typeof postgres.deliver>) => {
      await postgres.deliver(...args);
      throw new Error('after all');
    },
  };
  expect(await relayOutbox(database.pool, transport)).toBe(0);
  expect((await database.pool.query('select from dict.notifications')).rowCount).toBe(0);
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, postgres)).toBe(3);
  expect((await database.pool.query('select from dict.notifications')).rowCount).toBe(3);
});

test('while the way works, the relay holds no snapshot and no transaction id', async () => {
  await publishMany(1);
  let held: unknown;
  const { transport } = keepingTransport(async () => {
    const { rows } = await database.pool.query(
      `select a.state, a.backend_xid, a.backend_xmin from pg_locks l join pg_stat_activity a using (pid)
       where l.locktype = 'advisory' and l.classid = (hashtext('dict-vsync relay')::bigint & 4294967295)::oid
         and l.database = (select oid from pg_database where datname = current_database())`,
    );
    held = rows;
  });
  expect(await relayOutbox(database.pool, transport)).toBe(1);
  expect(held).toEqual([{ state: 'idle in transaction', backend_xid: null, backend_xmin: null }]);
});

test('a message refused for good is put aside after three tries, and its stream goes on', async () => {
  for (let n = 0; n < 5; n++) await publishOne(database.pool, { n });
  const poison = (await outbox(database.pool))[2]!.id;
  const tried: string[] = [];
  const { log, lines } = await capturedLog('error');
  const { transport, got } = keepingTransport((messages) => {
    const at = messages.findIndex(({ id }) => id === poison);
    tried.push(...messages.slice(0, at < 0 ? undefined : at + 1).map(({ id }) => id));
    return at < 0 ? undefined : { delivered: at, error: REFUSED };
  });
  expect(await relayOutbox(database.pool, transport, { log })).toBe(2);
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, transport, { log })).toBe(0);
  await passBackoff(database.pool);
  // The third refusal; the stream goes on at once.
  expect(await relayOutbox(database.pool, transport, { log })).toBe(2);
  expect(tried.filter((id) => id === poison)).toHaveLength(3);
  expect(got.map(({ sequence }) => sequence)).toEqual(['1', '2', '4', '5']);
  const dead = (await outbox(database.pool)).filter((row) => row.dead);
  expect(dead).toMatchObject([
    { id: poison, delivered: false, attempts: 3, last_error: 'DV_NOTIFY_TOO_LARGE' },
  ]);
  expect(await backoffs()).toEqual([]);
  expect(lines()).toMatchObject([{ message: poison, participant: ISPB, error: 'DV_NOTIFY_TOO_LARGE' }]);

  // Sent again: the same id, at the stream's end, in its envelope too.
  await database.pool.query('select dict.retry_outbox($1)', [[poison]]);
  await publishOne(database.pool, { n: 6 });
  const later = keepingTransport();
  expect(await relayOutbox(database.pool, later.transport)).toBe(2);
  expect(later.got.map(({ id, sequence }) => [id === poison, sequence])).toEqual([
    [true, '6'],
    [false, '7'],
  ]);
  expect(eventOf(later.got[0]!)).toMatchObject({ id: poison, sequence: '6'.padStart(19, '0') });
});
