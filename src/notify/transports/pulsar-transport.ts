import type * as Pulsar from 'pulsar-client';
import { DvError } from '../../errors/dv-error.ts';
import { producerTransport, type Producer } from './stream-producers.ts';
import { type PulsarErrors, relayErrors } from '../pulsar/pulsar-errors.ts';
import { type PulsarSettings, readToken } from '../pulsar/pulsar-connection.ts';
import { labels, topicOf } from './pulsar-message.ts';
import type { OutboxMessage, Transport } from './transport.ts';

/** Not 0: the client reads 0 as "not set" and uses its default of 30 s. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** Time limit for a connection, a look-up and an acknowledgement. */
const ANSWER_MS = 10_000;

/**
 * The transport for Pulsar's native protocol, with the official client. The client is a native addon and is loaded
 * here. Errors: DV_NOTIFY_ADDON_MISSING if it is not installed.
 */
export async function pulsarTransport(settings: PulsarSettings): Promise<Transport> {
  const pulsar = await loadClient(relayErrors);
  let shared: Pulsar.Client | undefined;
  // One client, whose connections all streams share. It is opened for the first message.
  const client = (): Pulsar.Client => (shared ??= connect(pulsar, settings, relayErrors));
  return producerTransport(
    'pulsar',
    async ({ participant, keyType, producerName, before }) => {
      const producer = await client()
        .createProducer({
          topic: topicOf(settings, { participant, keyType }),
          producerName,
          initialSequenceId: Number(before),
          // The client must never give up a message: it would still send the messages after it.
          sendTimeoutMs: FOR_EVER_MS,
          // Without batches: the broker could not recognise a repetition that is batched differently.
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

/** Loads the official client, a native addon. Throws DV_NOTIFY_ADDON_MISSING if it is not installed. */
export async function loadClient(errors: PulsarErrors): Promise<typeof Pulsar> {
  try {
    return ((await import('pulsar-client')) as unknown as { default: typeof Pulsar }).default;
  } catch (cause) {
    throw errors.addonMissing(cause);
  }
}

/** A client with the settings' credentials. It connects when it is used. */
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
    // Without this it logs to stderr in its own format. We get its errors anyway.
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
        // The client keeps trying until the producer is closed, which the caller does next.
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

/** The client's error as a DvError. Its messages end with the name of the C++ result. */
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
      return errors.unreachable(result, error);
  }
}
