import { webSocketProducer } from './websocket-producer.ts';
import type { PulsarSettings } from '../pulsar/pulsar-connection.ts';
import { relayErrors } from '../pulsar/pulsar-errors.ts';
import { openSocket, readTls, topicPath } from '../pulsar/websocket.ts';
import { labels, topicOf } from './pulsar-message.ts';
import { producerTransport } from './stream-producers.ts';
import type { Transport } from './transport.ts';

/**
 * The transport for Pulsar's WebSocket API, ws:// or wss://. It needs no native addon. Errors: DV_SETTINGS_INVALID if a
 * PEM file cannot be read.
 */
export function webSocketTransport(settings: PulsarSettings): Transport {
  // Read once, not for each connection, so that an unreadable file is reported at the start.
  const tls = readTls(settings);
  return producerTransport(
    'websocket',
    async ({ participant, keyType, producerName, before }) => {
      const path = `producer/${topicPath(topicOf(settings, { participant, keyType }))}`;
      const parameters = {
        producerName,
        initialSequenceId: String(before),
        // The service must never give up a message: it would still send the messages after it.
        sendTimeoutMillis: '0',
        // Without batches: the broker could not recognise a repetition that is batched differently.
        batchingEnabled: 'false',
      };
      const socket = await openSocket(settings, relayErrors, path, parameters, { tls });
      return webSocketProducer(socket, (message, context) => {
        const { key, properties } = labels(message);
        const payload = Buffer.from(message.body).toString('base64');
        return JSON.stringify({
          payload,
          key,
          properties,
          context,
          eventTime: message.createdAt.toISOString(),
        });
      });
    },
    async () => undefined,
  );
}
