import { DvError } from '../../errors/dv-error.ts';

/** First part of the names of the settings for URL and topic. Token and TLS files are always those of NOTIFY. */
export type SettingsPrefix = 'NOTIFY' | 'KEY_EVENTS';

/** The errors of a message or a connection to Pulsar. All except `tooLarge` and `refused` may pass. */
export type PulsarErrors = ReturnType<typeof pulsarErrors>;

/** The errors of a connection that produces or consumes. Their messages name the settings of the connection. */
export function pulsarErrors(prefix: SettingsPrefix, does: 'produce' | 'consume') {
  const url = `${prefix}_URL`;
  const topics = prefix === 'NOTIFY' ? 'NOTIFY_TOPIC' : 'KEY_EVENTS_TOPIC or KEY_EVENTS_DEAD_LETTER_TOPIC';
  const right = does === 'produce' ? 'produce to' : 'consume';
  return {
    unreachable: (detail: string, cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_AWAY',
        `The broker of ${url} cannot be reached (${detail}). The connection is retried.`,
        {
          cause,
        },
      ),
    timeout: (cause?: unknown) =>
      new DvError('DV_NOTIFY_TIMEOUT', `The broker of ${url} does not answer. The connection is retried.`, {
        cause,
      }),
    busy: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_BUSY',
        'Another connection sends the messages of this participant and key type: that of another worker, or a lost ' +
          'connection that the broker has not closed yet. Delivery is retried.',
        { cause },
      ),
    tls: (detail: string, cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_TLS',
        `No TLS connection to the broker of ${url} can be made (${detail}). Check its certificate, NOTIFY_TLS_CA, NOTIFY_TLS_CERT ` +
          'and NOTIFY_TLS_KEY.',
        { cause },
      ),
    unauthorized: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_UNAUTHORIZED',
        `The broker of ${url} refuses the connection. Check NOTIFY_TOKEN, NOTIFY_TOKEN_FILE or the client certificate, ` +
          `and the right to ${right} the topic of ${topics}.`,
        { cause },
      ),
    topic: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_TOPIC',
        `The topic of ${topics} does not exist or cannot be used. Create its namespace. If the broker does not create ` +
          'topics automatically, create the topic too.',
        { cause },
      ),
    tooLarge: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_TOO_LARGE',
        'The message is larger than the broker accepts. Raise its limit (webSocketMaxTextFrameSize for WebSocket, otherwise ' +
          'maxMessageSize), then run `dict-vsync outbox retry`.',
        { cause },
      ),
    refused: (cause?: unknown) =>
      new DvError('DV_NOTIFY_REFUSED', 'The broker cannot read the message and refuses it. Report it.', {
        cause,
      }),
    addonMissing: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_ADDON_MISSING',
        `${url} uses Pulsar's native protocol, but its client (the npm package pulsar-client) is not installed. ` +
          `Install it, or use Pulsar's WebSocket API, which does not need it: ${url}=ws://HOST:8080 or wss://HOST:8443.`,
        { cause },
      ),
    unforeseen: (cause: unknown) =>
      new DvError(
        'DV_NOTIFY_AWAY',
        `The broker of ${url} failed with an unexpected error. The connection is retried.`,
        {
          cause,
        },
      ),
  };
}

/** The errors of the relay, which produces to NOTIFY_URL. */
export const relayErrors: PulsarErrors = pulsarErrors('NOTIFY', 'produce');
