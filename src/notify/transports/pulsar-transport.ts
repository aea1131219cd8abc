import type * as Pulsar from 'pulsar-client';
import { DvError } from '../../errors/dv-error.ts';
import { producerTransport, type Producer } from './stream-producers.ts';
import { type PulsarErrors, relayErrors } from '../pulsar/pulsar-errors.ts';
import { type PulsarSettings, readToken } from '../pulsar/pulsar-connection.ts';
import { labels, topicOf } from './pulsar-message.ts';
import type { OutboxMessage, Transport } from './transport.ts';

/** The client takes 0 for "not set", and its default is 30 s. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** How long to wait for a connection, a look-up, an acknowledgement. */
const ANSWER_MS = 10_000;

/**
 * Through Pulsar's own protocol with the official client, a native addon that is loaded here first. Errors:
 * DV_NOTIFY_ADDON_MISSING when it is not installed.
 */
export async function pulsarTransport(settings: PulsarSettings): Promise<Transport> {
  const pulsar = await loadClient(relayErrors);
  let shared: Pulsar.Client | undefined;
  // One client, its connections shared by all streams; opened at the first message.
  const client = (): Pulsar.Client => (shared ??= connect(pulsar, settings, relayErrors));
  return producerTransport(
    'pulsar',
    async ({ participant, keyType, producerName, before }) => {
      const producer = await client()
        .createProducer({
          topic: topicOf(settings, { participant, keyType }),
          producerName,
          initialSequenceId: Number(before),
          // Never given up by the client: after one that it had given up later ones would still go out.
          sendTimeoutMs: FOR_EVER_MS,
          // A batch sent again in other portions could not be told from a new one.
          batchingEnabled: false,
        })
        .catch((error: unknown) => {
          throw byResult(error, relayErrors);
        });
      return wrap(producer);
    },
    async () => void (await shared?.close().catch(() => undefined)),
  );
}

/** The official client, a native addon. DV_NOTIFY_ADDON_MISSING when it is not installed. */
export async function loadClient(errors: PulsarErrors): Promise<typeof Pulsar> {
  try {
    return ((await import('pulsar-client')) as unknown as { default: typeof Pulsar }).default;
  } catch (cause) {
    throw errors.addonMissing(cause);
  }
}

/** A client with the settings' credentials; it connects when it is used. */
export function connect(
  pulsar: typeof Pulsar,
  settings: PulsarSettings,
  errors: PulsarErrors,
): Pulsar.Client {
  const { url, tlsCa, tlsCert, tlsKey } = settings;
  const withToken = settings.token !== undefined || settings.tokenFile !== undefined;
  const authentication = withToken
    ? new pulsar.AuthenticationToken({ token: async () => readToken(settings, errors) ?? '' })
    : tlsCert !== undefined && tlsKey !== undefined
      ? new pulsar.AuthenticationTls({ certificatePath: tlsCert, privateKeyPath: tlsKey })
      : undefined;
  return new pulsar.Client({
    serviceUrl: url,
    operationTimeoutSeconds: ANSWER_MS / 1000,
    connectionTimeoutMs: ANSWER_MS,
    tlsValidateHostname: true,
    ...(tlsCa !== undefined && { tlsTrustCertsFilePath: tlsCa }),
    ...(tlsCert !== undefined && { tlsCertificateFilePath: tlsCert }),
    ...(tlsKey !== undefined && { tlsPrivateKeyFilePath: tlsKey }),
    ...(authentication && { authentication }),
    // Its log goes to stderr otherwise, line by line and in a format of its own; what it meets we are told.
    log: () => undefined,
  });
}

function wrap(producer: Pulsar.Producer): Producer {
  return {
    async send(message: OutboxMessage) {
      const { key, properties } = labels(message);
      const sending = producer.send({
        data: Buffer.from(message.body),
        properties,
        partitionKey: key,
        orderingKey: key,
        sequenceId: Number(message.sequence),
        eventTimestamp: message.createdAt.getTime(),
      });
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(relayErrors.timeout()), ANSWER_MS);
      try {
        await Promise.race([sending, late.promise]);
      } catch (error) {
        // The client goes on by itself; closing the producer, which follows, ends that.
        sending.catch(() => undefined);
        throw error instanceof DvError ? error : byResult(error, relayErrors);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      await producer.close();
    },
  };
}

/** What the client threw, as a DvError: its errors end with the name of its C++ result. */
export function byResult(error: unknown, errors: PulsarErrors): DvError {
  const result = /(\w+)\W*$/.exec(error instanceof Error ? error.message : '')?.[1] ?? 'unknown';
  switch (result) {
    case 'MessageTooBig':
      return errors.tooLarge(error);
    case 'InvalidMessage':
      return errors.refused(error);
    case 'AuthenticationError':
    case 'AuthorizationError':
      return errors.unauthorized(error);
    case 'TopicNotFound':
    case 'InvalidTopicName':
    case 'TopicTerminated':
      return errors.topic(error);
    case 'ProducerBusy':
      return errors.busy(error);
    case 'Timeout':
    case 'TimeOut':
      return errors.timeout(error);
    default:
      return errors.away(result, error);
  }
}
