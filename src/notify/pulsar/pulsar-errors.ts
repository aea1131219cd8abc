import { DvError } from '../../errors/dv-error.ts';

/** Whose URL and topic a connection uses, as the names of the settings begin; token and TLS files are NOTIFY's for both. */
export type SettingsPrefix = 'NOTIFY' | 'KEY_EVENTS';

/** What a message or a connection may meet at Pulsar. All but `tooLarge` and `refused` may pass. */
export type PulsarErrors = ReturnType<typeof pulsarErrors>;

/** The errors of a connection that produces or consumes; their texts name the settings it was made with. */
export function pulsarErrors(prefix: SettingsPrefix, does: 'produce' | 'consume') {
  const url = `${prefix}_URL`;
  const topics = prefix === 'NOTIFY' ? 'NOTIFY_TOPIC' : 'KEY_EVENTS_TOPIC or KEY_EVENTS_DEAD_LETTER_TOPIC';
  const right = does === 'produce' ? 'produce to' : 'consume';
  return {
    away: (detail: string, cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_AWAY',
        `The broker of ${url} cannot be reached (${detail}). It is tried again.`,
        {
          cause,
        },
      ),
    timeout: (cause?: unknown) =>
      new DvError('DV_NOTIFY_TIMEOUT', `The broker of ${url} does not answer. It is tried again.`, { cause }),
    busy: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_BUSY',
        'Another connection sends the messages of this participant and key type: another worker, or one that was cut off ' +
          'and that the broker has not given up yet. It is tried again.',
        { cause },
      ),
    tls: (detail: string, cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_TLS',
        `No TLS connection to the broker of ${url} (${detail}): check its certificate, NOTIFY_TLS_CA, NOTIFY_TLS_CERT ` +
          'and NOTIFY_TLS_KEY.',
        { cause },
      ),
    unauthorized: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_UNAUTHORIZED',
        `The broker of ${url} refuses the connection: check NOTIFY_TOKEN, NOTIFY_TOKEN_FILE or the client certificate, ` +
          `and the right to ${right} the topic of ${topics}.`,
        { cause },
      ),
    topic: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_TOPIC',
        `The topic of ${topics} does not exist, or cannot be used: create its namespace and, where the broker does not ` +
          'create topics by itself, the topic.',
        { cause },
      ),
    tooLarge: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_TOO_LARGE',
        'The message is larger than the broker accepts: raise its limit (for WebSocket webSocketMaxTextFrameSize, else ' +
          'maxMessageSize), then run `dict-vsync outbox retry`.',
        { cause },
      ),
    refused: (cause?: unknown) =>
      new DvError('DV_NOTIFY_REFUSED', 'The broker refuses the message for what it is: report it.', {
        cause,
      }),
    addonMissing: (cause?: unknown) =>
      new DvError(
        'DV_NOTIFY_ADDON_MISSING',
        `${url} names Pulsar's own protocol, whose native client (the npm package pulsar-client) is not installed here: ` +
          `install it, or use Pulsar's WebSocket API, which needs none: ${url}=ws://HOST:8080 or wss://HOST:8443.`,
        { cause },
      ),
    unforeseen: (cause: unknown) =>
      new DvError('DV_NOTIFY_AWAY', `The broker of ${url} failed in an unforeseen way. It is tried again.`, {
        cause,
      }),
  };
}

/** Those of the relay, which produces by NOTIFY_URL. */
export const relayErrors: PulsarErrors = pulsarErrors('NOTIFY', 'produce');
