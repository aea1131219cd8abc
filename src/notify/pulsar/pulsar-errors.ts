import { DvError } from '../../errors/dv-error.ts';

/** What a message or a connection may meet at Pulsar. All but `tooLarge` and `refused` may pass. */
export const pulsarError = {
  away: (detail: string, cause?: unknown) =>
    retryable('DV_NOTIFY_AWAY', `The broker of NOTIFY_URL is away (${detail}). It is tried again.`, cause),
  timeout: (cause?: unknown) =>
    retryable('DV_NOTIFY_TIMEOUT', 'The broker of NOTIFY_URL does not answer. It is tried again.', cause),
  busy: (cause?: unknown) =>
    retryable(
      'DV_NOTIFY_BUSY',
      'Another connection sends the messages of this participant and key type: another worker, or one that was cut off ' +
        'and that the broker has not given up yet. It is tried again.',
      cause,
    ),
  tls: (detail: string, cause?: unknown) =>
    retryable(
      'DV_NOTIFY_TLS',
      `No TLS connection to the broker of NOTIFY_URL (${detail}): check its certificate, NOTIFY_TLS_CA, NOTIFY_TLS_CERT ` +
        'and NOTIFY_TLS_KEY.',
      cause,
    ),
  unauthorized: (cause?: unknown) =>
    retryable(
      'DV_NOTIFY_UNAUTHORIZED',
      'The broker of NOTIFY_URL refuses us: check NOTIFY_TOKEN or the client certificate, and the right to produce to ' +
        'NOTIFY_TOPIC.',
      cause,
    ),
  topic: (cause?: unknown) =>
    retryable(
      'DV_NOTIFY_TOPIC',
      'The topic of NOTIFY_TOPIC is not there, or not usable: create its namespace and, where the broker makes none by ' +
        'itself, the topic.',
      cause,
    ),
  tooLarge: (cause?: unknown) =>
    new DvError(
      'DV_NOTIFY_TOO_LARGE',
      'The message is larger than the broker takes: raise its limit (for WebSocket webSocketMaxTextFrameSize, else ' +
        'maxMessageSize), then `dict-vsync outbox retry`.',
      { cause },
    ),
  refused: (cause?: unknown) =>
    new DvError('DV_NOTIFY_REFUSED', 'The broker refuses the message for what it is: report it.', { cause }),
};

function retryable(code: string, text: string, cause: unknown): DvError {
  return new DvError(code, text, { class: 'retryable', cause });
}
