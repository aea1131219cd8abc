import { webSocketProducer } from './websocket-producer.ts';
import type { PulsarSettings } from '../pulsar/pulsar-connection.ts';
import { relayErrors } from '../pulsar/pulsar-errors.ts';
import { openSocket, readTls, topicPath } from '../pulsar/websocket.ts';
import { labels, topicOf } from './pulsar-message.ts';
import { producerTransport } from './stream-producers.ts';
import type { Transport } from './transport.ts';

/**
 * Through Pulsar's WebSocket API, ws:// or wss://: no native addon needed. Errors: DV_SETTINGS_INVALID when a PEM file
 * cannot be read.
 */
export function webSocketTransport(settings: PulsarSettings): Transport {
  // Once, not at each connection: a file that cannot be read is to be found out at the start.
  const tls = readTls(settings);
  return producerTransport(
    'websocket',
    async ({ participant, keyType, producerName, before }) => {
      const path = `producer/${topicPath(topicOf(settings, { participant, keyType }))}`;
      const parameters = {
        producerName,
        initialSequenceId: String(before),
        // Never given up by the service itself: after one that it had given up later ones would still go out.
        sendTimeoutMillis: '0',
        // A batch sent again in other portions could not be told from a new one.
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
