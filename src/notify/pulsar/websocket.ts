import { WebSocket } from 'ws';
import { DvError } from '../../errors/dv-error.ts';
import { type PulsarSettings, readNamed, readToken } from './pulsar-connection.ts';
import type { PulsarErrors } from './pulsar-errors.ts';

const OPEN_MS = 10_000;
const CLOSE_MS = 2000;

/**
 * The path `persistent/tenant/namespace/name` of a topic. The topic may be given by NAME alone. Throws
 * DV_TOPIC_INVALID, whose message names the setting.
 */
export function topicPath(topic: string, setting = 'The topic'): string {
  const [, domain = 'persistent', full, short = ''] =
    /^(?:(persistent|non-persistent):\/\/(.+)|([^:]+))$/.exec(topic) ?? [];
  const path = full ?? short;
  const parts = path.split('/');
  if (parts.every((part) => part !== '')) {
    if (parts.length === 3) return [domain, ...parts.map(encodeURIComponent)].join('/');
    if (parts.length === 1) return `${domain}/public/default/${encodeURIComponent(path)}`;
  }
  throw new DvError('DV_TOPIC_INVALID', `${setting} must be NAME or persistent://TENANT/NAMESPACE/NAME.`);
}

/** The certificates of a TLS connection: our own, and the CAs that it trusts. */
export type Tls = Record<'ca' | 'cert' | 'key', Buffer | undefined>;

/** Reads the PEM files that the settings name. Throws DV_SETTINGS_INVALID if one cannot be read. */
export function readTls({ tlsCa, tlsCert, tlsKey }: PulsarSettings): Tls {
  const pem = (name: string, file: string | undefined) =>
    file === undefined ? undefined : readNamed(name, file);
  return {
    ca: pem('NOTIFY_TLS_CA', tlsCa),
    cert: pem('NOTIFY_TLS_CERT', tlsCert),
    key: pem('NOTIFY_TLS_KEY', tlsKey),
  };
}

/**
 * Opens a socket of Pulsar's WebSocket API. `onOpen` adds listeners before the first message can arrive. Without `tls`
 * the PEM files are read for this connection. Throws the errors of a transport.
 */
export async function openSocket(
  settings: PulsarSettings,
  errors: PulsarErrors,
  path: string,
  parameters: Record<string, string>,
  { onOpen, tls = readTls(settings) }: { onOpen?: (socket: WebSocket) => void; tls?: Tls } = {},
): Promise<WebSocket> {
  const url = new URL(settings.url);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/ws/v2/${path}`;
  url.search = new URLSearchParams(parameters).toString();
  const token = readToken(settings, errors);
  const socket = new WebSocket(url, {
    ...tls,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    handshakeTimeout: OPEN_MS,
    perMessageDeflate: false,
  });
  const opening = opened(socket, errors);
  socket.once('open', () => {
    // From now on the close event reports every error.
    socket.on('error', () => undefined);
    onOpen?.(socket);
  });
  await opening;
  return socket;
}

/**
 * Closes a socket after everything was sent. Resolves when it is closed, or when the broker does not answer in time.
 */
export async function closeSocket(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const late = setTimeout(() => socket.terminate(), CLOSE_MS);
  socket.close();
  await closed;
  clearTimeout(late);
}

/** Passes the answers of a socket to `take`. An answer that is not a JSON object ends the connection. */
export function onAnswer(socket: WebSocket, take: (answer: Record<string, unknown>) => void): void {
  socket.on('message', (data: Buffer) => {
    let answer: unknown;
    try {
      answer = JSON.parse(data.toString('utf8'));
    } catch {
      // Pulsar answers only with JSON.
    }
    if (typeof answer === 'object' && answer !== null) take(answer as Record<string, unknown>);
    else socket.terminate();
  });
}

/** Waits until a connecting WebSocket is open, then removes all listeners. Throws a DvError. */
function opened(socket: WebSocket, errors: PulsarErrors): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: DvError): void => {
      // Terminating a socket that is still connecting emits another error.
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.terminate();
      reject(error);
    };
    socket.once('open', () => {
      socket.removeAllListeners();
      resolve();
    });
    socket.once('unexpected-response', (_, { statusCode = 0 }) => fail(byStatus(statusCode, errors)));
    socket.once('error', (error) => fail(byError(error, errors)));
  });
}

/** The error for the HTTP status with which the WebSocket service refuses a connection. */
function byStatus(status: number, errors: PulsarErrors): DvError {
  switch (status) {
    case 401:
    case 403:
      return errors.unauthorized();
    case 400:
    case 404:
      return errors.topic();
    case 409:
      return errors.busy();
    default:
      return errors.unreachable(`HTTP status ${status}`);
  }
}

function byError(error: NodeJS.ErrnoException, errors: PulsarErrors): DvError {
  const code = error.code ?? '';
  if (/TLS|SSL|CERT|SELF_SIGNED|UNABLE_TO_|EPROTO|HOSTNAME/.test(code)) return errors.tls(code, error);
  return code === '' ? errors.timeout(error) : errors.unreachable(code, error);
}
