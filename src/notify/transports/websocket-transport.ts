import { WebSocket } from 'ws';
import { openWebSocketProducer } from './websocket-producer.ts';
import { type PulsarSettings, readNamed, readToken } from '../pulsar/pulsar-connection.ts';
import { relayErrors } from '../pulsar/pulsar-errors.ts';
import { labels, topicOf } from './pulsar-message.ts';
import { producerTransport } from './stream-producers.ts';
import type { Transport } from './transport.ts';

/** How long to wait for a connection to open. */
const OPEN_MS = 10_000;

/**
 * Through Pulsar's WebSocket API, ws:// or wss://: no native addon needed. Errors: DV_SETTINGS_INVALID when a PEM file
 * cannot be read.
 */
export function webSocketTransport(settings: PulsarSettings): Transport {
  const pem = (name: string, path: string | undefined) =>
    path === undefined ? undefined : readNamed(name, path);
  const tls = {
    ca: pem('NOTIFY_TLS_CA', settings.tlsCa),
    cert: pem('NOTIFY_TLS_CERT', settings.tlsCert),
    key: pem('NOTIFY_TLS_KEY', settings.tlsKey),
  };
  return producerTransport(
    'websocket',
    async ({ participant, keyType, producerName, before }) => {
      const token = readToken(settings, relayErrors);
      const url = producerUrl(settings.url, topicOf(settings, { participant, keyType }), {
        producerName,
        initialSequenceId: String(before),
        // Never given up by the service itself: after one that it had given up later ones would still go out.
        sendTimeoutMillis: '0',
        // A batch sent again in other portions could not be told from a new one.
        batchingEnabled: 'false',
      });
      const socket = new WebSocket(url, {
        ...tls,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        handshakeTimeout: OPEN_MS,
        perMessageDeflate: false,
      });
      return openWebSocketProducer(socket, (message, context) => {
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

/** Where Pulsar's WebSocket service takes messages for a topic. */
function producerUrl(base: string, topic: string, parameters: Record<string, string>): URL {
  const url = new URL(base);
  const [, domain = '', path = ''] = /^([^:]+):\/\/(.*)$/.exec(topic) ?? [];
  const [tenant = '', namespace = '', ...name] = path.split('/');
  const parts = [domain, tenant, namespace, name.join('/')].map(encodeURIComponent);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/ws/v2/producer/${parts.join('/')}`;
  url.search = new URLSearchParams(parameters).toString();
  return url;
}
