import { WebSocket } from 'ws';
import { DvError } from '../errors.ts';

/** `tenant/namespace/name` of a topic, as Pulsar's clients read its short forms. DV_TOPIC_INVALID. */
export function topicPath(topic: string): string {
  const [, path = ''] = /^(?:persistent:\/\/)?([^:]+)$/.exec(topic) ?? [];
  const parts = path.split('/');
  if (parts.every((part) => part !== '')) {
    if (parts.length === 3) return path;
    if (parts.length === 1) return `public/default/${path}`;
  }
  throw new DvError(
    'DV_TOPIC_INVALID',
    'A topic is NAME or persistent://TENANT/NAMESPACE/NAME (Pulsar, persistent).',
  );
}

/** How a connection shows who it is, and whom it trusts. */
export interface Credentials {
  token?: string | undefined;
  /** PEM: another CA than the system's, a certificate of our own. */
  tls?: { ca?: Buffer; cert?: Buffer; key?: Buffer } | undefined;
}

const HANDSHAKE_MS = 15_000;

/** A socket of Pulsar's WebSocket API, open. DV_PULSAR_UNREACHABLE, DV_PULSAR_FORBIDDEN. */
export async function openSocket(
  url: string,
  path: readonly string[],
  parameters: Record<string, string>,
  { token, tls }: Credentials = {},
): Promise<WebSocket> {
  const address = new URL(`${url.replace(/\/$/, '')}/ws/v2/${path.join('/')}`);
  address.search = new URLSearchParams(parameters).toString();
  const socket = new WebSocket(address, {
    ...tls,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    handshakeTimeout: HANDSHAKE_MS,
  });
  const opened = Promise.withResolvers<void>();
  socket.once('open', opened.resolve);
  socket.on('unexpected-response', (request, response) => {
    opened.reject(refused(response.statusCode ?? 0));
    request.destroy();
  });
  // Once it is open, the close tells.
  socket.on('error', (cause) => opened.reject(refused(0, cause)));
  await opened.promise;
  return socket;
}

function refused(status: number, cause?: Error): DvError {
  if (status === 401 || status === 403) {
    return new DvError(
      'DV_PULSAR_FORBIDDEN',
      `Pulsar refused us (HTTP ${status}). Look at the token, and at its rights to the topic.`,
      { class: 'retryable' },
    );
  }
  const how = status > 0 ? ` (HTTP ${status})` : '';
  return new DvError(
    'DV_PULSAR_UNREACHABLE',
    `Pulsar did not open the connection${how}. Look at the URL, its TLS, and whether the topic may be used.`,
    { class: 'retryable', cause },
  );
}

/** Closes a socket, with all that was sent before; settles when it is closed. */
export async function closeSocket(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return;
  const closed = Promise.withResolvers<void>();
  socket.addEventListener('close', () => closed.resolve(), { once: true });
  socket.close();
  await closed.promise;
}
