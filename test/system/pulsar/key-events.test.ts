import type { Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { applyKeyEvents } from '../../../src/dict/key-base/apply-key-events.ts';
import { readKeyEvent } from '../../../src/dict/key-base/key-event.ts';
import { createLog } from '../../../src/log.ts';
import { consumeKeyEvents, subscribe, type Subscription } from '../../../src/notify/index.ts';
import { connect, oneTable } from '../connected-tables/support.ts';
import { keptVSyncs, naiveVSyncs } from '../../unit/dict/entry/entries.ts';
import {
  at,
  type CloudEvent,
  keyEvent,
  keys,
  present,
  received,
  servingDatabase,
} from '../key-events/support.ts';
import { describeWithPulsar } from '../../support/pulsar/describe.ts';
import { createNamespace, type Namespace } from '../../support/pulsar/namespace.ts';
import { startSystem } from '../../support/system.ts';
import { backlog, byWebSocket, publishAll } from './support.ts';

const SUBSCRIPTION = 'dict-vsync';
const [first, second, third] = keys('EMAIL', 3) as [Entry, Entry, Entry];
type Entry = ReturnType<typeof keys>[number];

const log = await createLog({ level: 'silent', pretty: false });

await describeWithPulsar('key events', (broker) => {
  function options(pool: Pool, { topic, dead }: Topics) {
    return { pool, log, ...byWebSocket(broker, topic), subscription: SUBSCRIPTION, deadLetterTopic: dead };
  }

  /** A worker's subscription, until the test ends. */
  async function worker(pool: Pool, topics: Topics): Promise<Subscription> {
    const running = await consumeKeyEvents(options(pool, topics));
    onTestFinished(() => running.close());
    return running;
  }

  /** A serving worker, with a topic and its subscription. */
  async function serving(): Promise<{ pool: Pool; running: Subscription } & Topics> {
    const { pool } = await servingDatabase();
    const namespace = await createNamespace(broker);
    onTestFinished(() => namespace.remove());
    const topics = { topic: namespace.topic('keys'), dead: namespace.topic('dead'), namespace };
    const running = await worker(pool, topics);
    await expect.poll(() => backlog(broker, topics.topic, SUBSCRIPTION)).toBe(0);
    return { pool, running, ...topics };
  }

  async function firstDead({ dead, namespace }: Topics) {
    await expect.poll(() => namespace.count(dead)).toBe(1);
    const [letter] = await namespace.read(dead);
    return letter!;
  }

  const published = (event: CloudEvent) => ({ body: JSON.stringify(event), key: String(event.data['key']) });
  const named = (entry: Entry, name: string): Entry => ({ ...entry, name });

  async function publish(topic: string, ...events: CloudEvent[]): Promise<void> {
    await publishAll(broker, topic, events.map(published));
  }

  async function allDone(topic: string): Promise<void> {
    await expect.poll(() => backlog(broker, topic, SUBSCRIPTION)).toBe(0);
  }

  test('creations, updates and deletions, repeated, out of order or without RequestId, are all acknowledged and count once', async () => {
    const topics = await serving();
    const { pool, topic } = topics;
    const created = keyEvent('key.created', first, at(1));
    const deleted = keyEvent('key.deleted', second, at(3));
    await publish(
      topic,
      created,
      keyEvent('key.created', second, at(1)),
      deleted,
      keyEvent('key.updated', named(second, 'Older'), at(2)),
      keyEvent('key.updated', named(first, 'Newer'), at(2)),
      created,
      keyEvent('key.created', third, at(1), { data: { ...third, requestId: undefined } }),
      deleted,
    );
    await expect.poll(() => received(pool)).toHaveLength(6);
    await allDone(topic);
    expect(await present(pool)).toEqual([`${first.key} Newer`]);
    expect((await received(pool)).sort()).toEqual([
      'key.created APPLIED',
      'key.created APPLIED',
      'key.created REFUSED REQUEST_ID_MISSING',
      'key.deleted APPLIED',
      'key.updated APPLIED',
      'key.updated OLDER',
    ]);
    expect(await keptVSyncs(pool)).toEqual(await naiveVSyncs(pool));
    expect(await backlog(broker, topics.dead, SUBSCRIPTION)).toBe(0);
  });

  test('a message that is not a CloudEvent goes to the dead-letter topic at its third try, and blocks nothing else', async () => {
    const topics = await serving();
    const { pool, topic } = topics;
    await publishAll(broker, topic, [
      { body: 'no JSON', key: first.key },
      published(keyEvent('key.created', first, at(1))),
    ]);
    const dead = await firstDead(topics);
    expect(dead).toMatchObject({ body: 'no JSON', properties: { reason: 'DV_KEY_EVENT_UNREADABLE', topic } });
    await allDone(topic);
    expect(await present(pool)).toEqual([`${first.key} ${first.name}`]);
  });

  test('so does an event that the database refuses, in a batch with others', async () => {
    const topics = await serving();
    const { pool, topic, running } = topics;
    await running.close();
    await pool.query(
      `create sequence public.tries;
       create function public.refuse() returns trigger language plpgsql as $$ begin
         if new.key = '${second.key}' then perform nextval('public.tries'); raise 'no'; end if; return new; end $$;
       create trigger refuse before insert on dict.entries for each row execute function public.refuse()`,
    );
    await publish(topic, ...[first, second, third].map((entry) => keyEvent('key.created', entry, at(1))));
    await worker(pool, topics);
    const dead = await firstDead(topics);
    expect(dead.properties['reason']).toBe('DV_DATABASE');
    await allDone(topic);
    expect(await present(pool)).toEqual([`${first.key} ${first.name}`, `${third.key} ${third.name}`].sort());
    // The first time in the batch, then alone.
    const { rows } = await pool.query<{ n: number }>(`select last_value::integer as n from public.tries`);
    expect(rows[0]!.n).toBeGreaterThanOrEqual(3);
    // It is not recorded as received: sent again once the fault is repaired, it counts.
    await pool.query('drop trigger refuse on dict.entries');
    await publishAll(broker, topic, [{ body: dead.body }]);
    await expect.poll(() => present(pool)).toContain(`${second.key} ${second.name}`);
  });

  test('while the database is unreachable, nothing becomes a dead letter', async () => {
    const topics = await serving();
    const { pool, topic } = topics;
    await pool.query(
      `create sequence public.tries;
     create function public.away() returns trigger language plpgsql as $$ begin
       perform nextval('public.tries'); raise 'away' using errcode = '57P03'; end $$;
     create trigger away before insert on dict.key_events for each row execute function public.away()`,
    );
    await publish(topic, keyEvent('key.created', first, at(1)));
    const tries = async () =>
      (await pool.query<{ n: number }>('select last_value::integer as n from public.tries')).rows[0]!.n;
    await expect.poll(tries).toBeGreaterThan(4);
    await pool.query('drop trigger away on dict.key_events');
    await expect.poll(() => present(pool)).toEqual([`${first.key} ${first.name}`]);
    await allDone(topic);
    expect(await backlog(broker, topics.dead, SUBSCRIPTION)).toBe(0);
  });

  test('if a worker ends between commit and acknowledgement, the event comes again and counts once', async () => {
    const topics = await serving();
    const { pool, topic, running } = topics;
    await running.close();
    const committed = Promise.withResolvers<void>();
    const dying = await subscribe({
      ...options(pool, topics),
      settingsPrefix: 'KEY_EVENTS',
      take: async ([message], stopping) => {
        await applyKeyEvents(pool, [readKeyEvent(message!.body)!]);
        committed.resolve();
        await new Promise((_, reject) =>
          stopping.addEventListener('abort', () => reject(new Error('killed'))),
        );
        return [];
      },
    });
    await publish(topic, keyEvent('key.created', first, at(1)));
    await committed.promise;
    await dying.close();
    expect(await backlog(broker, topic, SUBSCRIPTION)).toBe(1);
    // The repetition does not undo what changed the key meanwhile.
    await pool.query(`update dict.entries set name = 'Repaired'`);
    await worker(pool, topics);
    await allDone(topic);
    expect(await present(pool)).toEqual([`${first.key} Repaired`]);
    expect(await received(pool)).toEqual(['key.created APPLIED']);
  });

  test('two workers share the keys, and each key ends as its newest event says', async () => {
    const topics = await serving();
    const { pool, topic } = topics;
    await worker(pool, topics);
    const entries = keys('EMAIL', 20);
    const events = Array.from({ length: 400 }, (_, n) =>
      keyEvent('key.updated', named(entries[n % 20]!, `Nome ${'x'.repeat(Math.floor(n / 20))}`), at(n)),
    );
    await publish(topic, ...events);
    await expect.poll(() => received(pool)).toHaveLength(400);
    await allDone(topic);
    expect(await present(pool)).toEqual(entries.map(({ key }) => `${key} Nome ${'x'.repeat(19)}`).sort());
  });

  test('the worker receives events where it is configured to, but not where the keys come from tables of the bank', async () => {
    const namespace = await createNamespace(broker);
    onTestFinished(() => namespace.remove());
    const topic = namespace.topic('keys');
    const settings = {
      KEY_EVENTS_URL: broker.webSocketUrl,
      KEY_EVENTS_TOPIC: topic,
      ...(broker.token !== undefined && { NOTIFY_TOKEN: broker.token }),
    };
    const system = await startSystem({ keysPerType: 1, settings });
    await expect.poll(() => backlog(broker, topic, SUBSCRIPTION)).toBe(0);
    await publish(topic, keyEvent('key.created', first, at(1)));
    await expect.poll(() => present(system.pool)).toContain(`${first.key} ${first.name}`);
    await allDone(topic);
    await system.stopService();
    await connect(system.pool, oneTable);
    await expect(system.restartService()).rejects.toMatchObject({ code: 'DV_KEY_EVENTS_CONNECTED' });
  });
});

interface Topics {
  topic: string;
  dead: string;
  namespace: Namespace;
}
