import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type PulsarSettings, relayOutbox, type Transport } from '../../../src/notify/index.ts';
import { canMakeCertificates, makeCertificate } from '../../support/certificate.ts';
import { useTestDatabase } from '../../support/database.ts';
import { describeWithJava } from '../../support/pulsar/describe.ts';
import { createNamespace, type Namespace } from '../../support/pulsar/namespace.ts';
import { type Standalone, startStandalone } from '../../support/pulsar/standalone.ts';
import { expectReceived, failing, publishSmall, testTransport, TRANSPORTS } from './pulsar-support.ts';
import { emptyOutbox, outbox, passBackoff } from './support.ts';

/** How long the broker stays down in the middle of the messages, beyond what the relay needs to notice. */
const OUTAGE_SECONDS = Number(process.env['PULSAR_OUTAGE_SECONDS'] ?? 0);

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

await describeWithJava('a Pulsar with TLS and tokens, which is killed', () => {
  if (!canMakeCertificates) {
    // Without openssl there is no TLS to test. Where Pulsar is required, the test must not pass because of that.
    if (process.env['REQUIRE_PULSAR'] === '1') throw new Error('REQUIRE_PULSAR=1, but there is no openssl');
    return test.skip('needs openssl, for a certificate', () => undefined);
  }
  const folder = mkdtempSync(join(tmpdir(), 'dv-pulsar-tls-'));
  const secret = randomBytes(32);
  const admin = token('admin');
  const certificate = makeCertificate(folder, 'pulsar', 'IP:127.0.0.1');
  let broker: Standalone;
  let namespace: Namespace;

  /** A token as Pulsar's own tool makes it. */
  function token(subject: string, key = secret): string {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'HS256' })}.${part({ sub: subject })}`;
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
  }

  beforeAll(async () => {
    broker = await startStandalone({
      tls: certificate,
      token: admin,
      settings: {
        authenticationEnabled: 'true',
        authorizationEnabled: 'true',
        authenticationProviders: 'org.apache.pulsar.broker.authentication.AuthenticationProviderToken',
        tokenSecretKey: `data:;base64,${secret.toString('base64')}`,
        superUserRoles: 'admin',
        brokerClientAuthenticationPlugin: 'org.apache.pulsar.client.impl.auth.AuthenticationToken',
        brokerClientAuthenticationParameters: `token:${admin}`,
        // Above the broker's own limit of 5 MiB per message, so that this limit is the one reached.
        webSocketMaxTextFrameSize: String(16 * 1024 * 1024),
      },
    });
    namespace = await createNamespace(broker);
    await namespace.admin('POST', `namespaces/${namespace.name}/permissions/dict-vsync`, ['produce']);
  }, 180_000);
  afterAll(async () => {
    await broker.stop();
    rmSync(folder, { recursive: true });
  });

  describe.each(TRANSPORTS)('by %s', (name, url) => {
    let topics = 0;
    let topic: string;
    beforeEach(() => {
      topic = namespace.topic(`${name}-${++topics}`);
    });
    const open = async (more: Partial<PulsarSettings>): Promise<Transport> => {
      const transport = await testTransport(url(broker.tls!), topic, { tlsCa: certificate.cert, ...more });
      onTestFinished(() => transport.close());
      return transport;
    };
    /** The error of a relay of one message. */
    const meets = async (more: Partial<PulsarSettings>): Promise<string | undefined> => {
      await publishSmall(database.pool, 1);
      expect(await relayOutbox(database.pool, await open(more))).toBe(0);
      return failing(database.pool);
    };

    test('with the right token and CA messages arrive', async () => {
      await publishSmall(database.pool, 5);
      expect(await relayOutbox(database.pool, await open({ token: token('dict-vsync') }))).toBe(5);
      await expectReceived(database.pool, await namespace.read(topic));
    });

    test.each([
      ['no token', () => ({})],
      ["another broker's token", () => ({ token: token('dict-vsync', randomBytes(32)) })],
      ['a token without the right to produce', () => ({ token: token('somebody') })],
    ])('%s is refused', async (_, settings) => {
      expect(await meets(settings())).toBe('DV_NOTIFY_UNAUTHORIZED');
    });

    test('a renewed token file is read again', async () => {
      const tokenFile = join(folder, 'token');
      writeFileSync(tokenFile, 'old');
      const transport = await open({ tokenFile });
      await publishSmall(database.pool, 2);
      expect(await relayOutbox(database.pool, transport)).toBe(0);
      rmSync(tokenFile);
      await passBackoff(database.pool);
      expect(await relayOutbox(database.pool, transport)).toBe(0);
      expect(await failing(database.pool)).toBe('DV_NOTIFY_UNAUTHORIZED');
      writeFileSync(tokenFile, `${token('dict-vsync')}\n`);
      await passBackoff(database.pool);
      expect(await relayOutbox(database.pool, transport)).toBe(2);
    });

    test('a certificate that no CA vouches for is refused', async () => {
      // The native client does not say why a connection fails.
      expect(await meets({ tlsCa: undefined, token: admin })).toMatch(
        name === 'websocket' ? /^DV_NOTIFY_TLS$/ : /^DV_NOTIFY_(TLS|AWAY|TIMEOUT)$/,
      );
      expect((await outbox(database.pool))[0]).toMatchObject({ delivered: false, dead: false });
    });

    test('a topic that does not exist and that the broker does not create is reported', async () => {
      await namespace.admin('POST', `namespaces/${namespace.name}/autoTopicCreation`, {
        allowAutoTopicCreation: false,
      });
      onTestFinished(async () => {
        await namespace.admin('DELETE', `namespaces/${namespace.name}/autoTopicCreation`);
      });
      expect(await meets({ token: admin })).toBe('DV_NOTIFY_TOPIC');
    });

    test('a message over the limit of the broker itself is refused', async () => {
      await publishSmall(database.pool, 2);
      await publishSmall(database.pool, 1, { pad: 6 * 1024 * 1024 });
      await publishSmall(database.pool, 2);
      const transport = await open({ token: admin });
      expect(await relayOutbox(database.pool, transport)).toBe(2);
      expect(await failing(database.pool)).toBe('DV_NOTIFY_TOO_LARGE');
      for (let n = 0; n < 2; n++) {
        await passBackoff(database.pool);
        await relayOutbox(database.pool, transport);
      }
      expect((await outbox(database.pool)).filter(({ dead }) => dead)).toMatchObject([{ sequence: 3 }]);
      await expectReceived(database.pool, await namespace.read(topic));
    });

    test(
      'the broker is killed in the middle of 10,000 messages and comes back: all there, once, in order',
      { timeout: 180_000 + OUTAGE_SECONDS * 1000 },
      async () => {
        const MESSAGES = 10_000;
        await publishSmall(database.pool, MESSAGES / 2);
        await publishSmall(database.pool, MESSAGES / 2, { keyType: 'CPF' });
        const transport = await open({ token: token('dict-vsync') });
        let delivered = 0;
        const relaying = (async () => {
          while (delivered < MESSAGES) {
            delivered += await relayOutbox(database.pool, transport);
            await passBackoff(database.pool);
          }
        })();
        const waiting = async (): Promise<number> => {
          const { rows } = await database.pool.query<{ n: number }>(
            'select count(*)::int as n from dict.outbox where delivered_at is null',
          );
          return rows[0]!.n;
        };
        await expect.poll(waiting, { interval: 10 }).toBeLessThan(MESSAGES * 0.8);
        await broker.kill();
        await expect.poll(() => failing(database.pool)).toMatch(/^DV_NOTIFY_(AWAY|TIMEOUT)$/);
        await delay(OUTAGE_SECONDS * 1000);
        expect(await waiting()).toBeGreaterThan(0);
        await broker.start();
        await relaying;
        const received = await namespace.read(topic);
        expect(received).toHaveLength(MESSAGES);
        await expectReceived(database.pool, received);
      },
    );
  });
});
