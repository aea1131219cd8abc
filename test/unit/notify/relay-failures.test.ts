import { beforeEach, expect, test, vi } from 'vitest';
import { DvError } from '../../../src/errors/dv-error.ts';
import { postgresTransport, relayOutbox } from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { capturedLog } from '../../support/log.ts';
import {
  UNREACHABLE,
  ISPB,
  OTHER,
  emptyOutbox,
  eventOf,
  expectInOrder,
  keepingTransport,
  outbox,
  passBackoff,
  publishMany,
  publishOne,
  streamOf,
} from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

const REFUSED = new DvError('DV_NOTIFY_TOO_LARGE', 'The broker refuses it.');

const backoffs = async () =>
  (
    await database.pool.query<{ name: string; failures: number; error_code: string; wait: number }>(
      `select participant || '/' || key_type as name, failures, error_code,
         extract(epoch from retry_at - workflow.now())::float8 as wait
       from dict.outbox_backoffs order by 1`,
    )
  ).rows;

test('the stream of an unreachable transport backs off, longer each time up to 30 s, and recovers; the others continue', async () => {
  await publishMany(database.pool, 6);
  const { log, lines } = await capturedLog('info');
  let unreachable = true;
  const { transport, got } = keepingTransport((messages) =>
    unreachable && streamOf(messages[0]!) === `${ISPB}/EMAIL`
      ? { delivered: 0, error: UNREACHABLE }
      : undefined,
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
  unreachable = false;
  await passBackoff(database.pool);
  expect(await relayOutbox(database.pool, transport, { log })).toBe(2);
  expect(await backoffs()).toEqual([]);
  expectInOrder(got, 6);
  // Reported once when it fails, once when it is back.
  expect(lines().map(({ msg }) => msg)).toEqual([
    'messages to Core-Dict cannot be delivered; delivery is retried',
    'messages to Core-Dict are delivered again',
  ]);
});

test('the part of a batch that arrived is not sent again', async () => {
  for (let n = 0; n < 10; n++) await publishOne(database.pool, { n });
  let failing = true;
  const { transport, got } = keepingTransport(() =>
    failing ? { delivered: 7, error: UNREACHABLE } : undefined,
  );
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

test('of an error that a transport throws only the name is kept, and nothing is lost', async () => {
  await publishMany(database.pool, 1);
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

test('a transport that never answers counts as unreachable, and delays only its own stream', async () => {
  await publishMany(database.pool, 2);
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

test("what a transport writes in the relay's transaction is rolled back when it fails", async () => {
  await publishMany(database.pool, 3);
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

test('while the transport works, the relay keeps no snapshot and no transaction id open', async () => {
  await publishMany(database.pool, 1);
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

test('a message refused for good is dead after three tries, and its stream continues', async () => {
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
  // The third refusal; the stream continues immediately.
  expect(await relayOutbox(database.pool, transport, { log })).toBe(2);
  expect(tried.filter((id) => id === poison)).toHaveLength(3);
  expect(got.map(({ sequence }) => sequence)).toEqual(['1', '2', '4', '5']);
  const dead = (await outbox(database.pool)).filter((row) => row.dead);
  expect(dead).toMatchObject([
    { id: poison, delivered: false, attempts: 3, last_error: 'DV_NOTIFY_TOO_LARGE' },
  ]);
  expect(await backoffs()).toEqual([]);
  expect(lines()).toMatchObject([{ message: poison, participant: ISPB, error: 'DV_NOTIFY_TOO_LARGE' }]);

  // Sent again: with the same id, at the stream's end, also in its envelope.
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
