import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DvError } from '../../../src/errors/dv-error.ts';
import { relayOutbox, type Transport } from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { describeWithPulsar } from '../../support/pulsar/describe.ts';
import { createNamespace, type Namespace } from '../../support/pulsar/namespace.ts';
import {
  addon,
  expectReceived,
  failing,
  publishSmall,
  relayAll,
  testTransport,
  TRANSPORTS,
} from './pulsar-support.ts';
import { emptyOutbox, ISPB, outbox, passBackoff, publishOne } from './support.ts';

const database = useTestDatabase();
const OTHER = '00000001';

beforeEach(() => emptyOutbox(database.pool));

await describeWithPulsar('through Pulsar', (broker) => {
  let namespace: Namespace;
  beforeAll(async () => {
    namespace = await createNamespace(broker);
  });
  afterAll(() => namespace.remove());

  test.skipIf(addon)('by native: skipped, the addon of pulsar-client is not installed', ({ skip }) => skip());

  describe.each(TRANSPORTS)('by %s', (name, url) => {
    let topics = 0;
    let topic: string;
    beforeEach(() => {
      topic = namespace.topic(`${name}-${++topics}`);
    });
    const open = async (): Promise<Transport> => {
      const transport = await testTransport(url(broker), topic);
      onTestFinished(() => transport.close());
      return transport;
    };

    test('messages arrive in order per stream, with content, key, properties and time', async () => {
      for (let n = 0; n < 30; n++) {
        await publishOne(database.pool, { participant: n % 2 === 0 ? ISPB : OTHER, n });
      }
      await publishSmall(database.pool, 300, { keyType: 'ALL' });
      expect(await relayOutbox(database.pool, await open())).toBe(330);
      const received = await namespace.read(topic);
      await expectReceived(database.pool, received);
      const [first] = received.filter(({ key }) => key === `${ISPB}/EMAIL`);
      const event = JSON.parse(first!.body) as Record<string, unknown>;
      expect(event).toMatchObject({
        specversion: '1.0',
        subject: `${ISPB}/EMAIL`,
        sequence: '0000000000000000001',
      });
      expect(first!.properties).toEqual({
        'content-type': 'application/cloudevents+json',
        id: event['id'],
        type: 'reconciliation.changes',
        participant: ISPB,
        keyType: 'EMAIL',
        sequence: '1',
      });
      expect(new Date(first!.eventTime).toISOString()).toBe(event['time']);
    });

    test('a topic may depend on the participant and key type', async () => {
      const transport = await testTransport(url(broker), namespace.topic(`${name}-{participant}-{keyType}`));
      onTestFinished(() => transport.close());
      await publishSmall(database.pool, 3);
      await publishSmall(database.pool, 2, { participant: OTHER, keyType: 'ALL' });
      expect(await relayOutbox(database.pool, transport)).toBe(5);
      expect(await namespace.read(namespace.topic(`${name}-${ISPB}-EMAIL`))).toHaveLength(3);
      expect(await namespace.read(namespace.topic(`${name}-${OTHER}-ALL`))).toHaveLength(2);
    });

    test('after a relay was killed between sending and marking, the next one sends all again, and the broker keeps each once', async () => {
      await publishSmall(database.pool, 250);
      const child = spawn(process.execPath, [new URL('./relay-child.ts', import.meta.url).pathname], {
        env: { ...process.env, CHILD: JSON.stringify({ database: database.url, url: url(broker), topic }) },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      onTestFinished(() => void child.kill('SIGKILL'));
      const [said] = (await once(child.stdout, 'data')) as [Buffer];
      expect(said.toString()).toBe('sent 100\n');
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(await namespace.count(topic)).toBe(100);
      expect((await outbox(database.pool)).filter(({ delivered }) => delivered)).toEqual([]);
      const transport = await open();
      // Postgres needs some time to notice that the relay is gone, and then releases its lock.
      await expect.poll(() => relayOutbox(database.pool, transport)).toBe(250);
      await expectReceived(database.pool, await namespace.read(topic));
    });

    test('what was sent and not marked is dropped by the broker when it comes again, after gaps too', async () => {
      await publishSmall(database.pool, 40);
      await database.pool.query('delete from dict.outbox where sequence in (7, 8, 20)');
      const transport = await open();
      const forgetful: Transport = {
        ...transport,
        deliver: async (...batch) => {
          await transport.deliver(...batch);
          return { delivered: 6, error: new DvError('DV_NOTIFY_AWAY', 'Marked so far.') };
        },
      };
      expect(await relayOutbox(database.pool, forgetful)).toBe(6);
      expect(await namespace.count(topic)).toBe(37);
      await publishSmall(database.pool, 10);
      await passBackoff(database.pool);
      expect(await relayOutbox(database.pool, await open())).toBe(41);
      await expectReceived(database.pool, await namespace.read(topic));
    });

    test('workers take turns in one stream', async () => {
      const transports = [await open(), await open()];
      for (let turn = 0; turn < 6; turn++) {
        await publishSmall(database.pool, 5);
        expect(await relayOutbox(database.pool, transports[turn % 2]!)).toBe(5);
      }
      await expectReceived(database.pool, await namespace.read(topic));
    });

    test('a message that is too large is dead; those around it arrive, once and in order', async () => {
      await publishSmall(database.pool, 10);
      await publishSmall(database.pool, 1, { pad: 6 * 1024 * 1024 });
      await publishSmall(database.pool, 10);
      await relayAll(database.pool, await open());
      const rows = await outbox(database.pool);
      expect(rows.filter(({ dead }) => dead)).toMatchObject([
        { sequence: 11, last_error: 'DV_NOTIFY_TOO_LARGE', delivered: false },
      ]);
      expect(rows.filter(({ delivered }) => delivered)).toHaveLength(20);
      await expectReceived(database.pool, await namespace.read(topic));
    });

    test('a namespace that does not exist is reported, retried, and delivered to once it exists', async () => {
      await publishSmall(database.pool, 3);
      const missing = `${namespace.name}-later`;
      const transport = await testTransport(url(broker), `persistent://${missing}/t`);
      onTestFinished(() => transport.close());
      expect(await relayOutbox(database.pool, transport)).toBe(0);
      expect(await failing(database.pool)).toBe('DV_NOTIFY_TOPIC');
      const later = await createNamespace(broker, missing);
      onTestFinished(() => later.remove());
      await passBackoff(database.pool);
      expect(await relayOutbox(database.pool, transport)).toBe(3);
      await expectReceived(database.pool, await namespace.read(`persistent://${missing}/t`));
    });

    test('an address where nobody listens is reported', async () => {
      await publishSmall(database.pool, 1);
      const transport = await testTransport(
        url({ ...broker, webSocketUrl: 'ws://127.0.0.1:9', serviceUrl: 'pulsar://127.0.0.1:9' }),
        topic,
      );
      onTestFinished(() => transport.close());
      expect(await relayOutbox(database.pool, transport)).toBe(0);
      expect(['DV_NOTIFY_AWAY', 'DV_NOTIFY_TIMEOUT']).toContain(await failing(database.pool));
    });
  });
});
