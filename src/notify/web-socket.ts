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

/** A socket of Pulsar's WebSocket API, open. */
export async function openSocket(
  url: string,
  path: readonly string[],
  parameters: Record<string, string>,
  token?: string,
): Promise<WebSocket> {
  const address = new URL(`${url.replace(/\/$/, '')}/ws/v2/${path.join('/')}`);
  address.search = new URLSearchParams(parameters).toString();
  // Node's own has headers, as browsers' have not.
  const init = { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } };
  const socket = new WebSocket(address, init);
  const opened = Promise.withResolvers<void>();
  socket.addEventListener('open', () => opened.resolve(), { once: true });
  socket.addEventListener(
    'close',
    () =>
      opened.reject(
        new DvError(
          'DV_PULSAR_UNREACHABLE',
          'Pulsar did not open the connection. Look at the URL, the token and the topic’s rights.',
          {
            class: 'retryable',
          },
        ),
      ),
    { once: true },
  );
  // What went wrong comes as the close.
  socket.addEventListener('error', () => undefined);
  await opened.promise;
  return socket;
}

/** Closes a socket, with all that was sent before; settles when it is closed. */
export async function closeSocket(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return;
  const closed = Promise.withResolvers<void>();
  socket.addEventListener('close', () => closed.resolve(), { once: true });
  socket.close();
  await closed.promise;
}
