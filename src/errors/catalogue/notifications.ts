import type { Section } from './section.ts';

export const NOTIFICATIONS = {
  title: 'Notifications to Core-Dict, and alerts',
  intro:
    'These errors appear in the log, in `/readyz` and in `dict-vsync outbox list`. After a retryable error the message is delivered again later. After errors that are not retryable the message becomes a dead message. A subscription to key events reports the same errors, with KEY_EVENTS_URL in the message.',
  errors: {
    DV_NOTIFY_ADDON_MISSING: {
      class: 'not_retryable',
      exit: 2,
      where: 'In the worker.',
      meaning: 'The URL begins with pulsar://, and the native client is not installed.',
      remedy: 'Install the npm package `pulsar-client`, or use ws:// or wss://.',
    },
    DV_NOTIFY_AWAY: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'The broker cannot be reached, closed the connection, or failed internally.',
      remedy: 'Do nothing if it passes. Otherwise check the broker.',
    },
    DV_NOTIFY_TIMEOUT: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'The transport did not answer in time.',
      remedy:
        'Do nothing if it passes. Otherwise check the broker. Delivery is retried automatically (docs/guides/core-dict.md).',
    },
    DV_NOTIFY_BUSY: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'Another connection still uses the producer name of this stream.',
      remedy: 'Do nothing if it passes. Otherwise find out which other program uses this database.',
    },
    DV_NOTIFY_UNAUTHORIZED: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning:
        'The broker refuses the token or the certificate, or the role is not allowed to use the topic.',
      remedy: 'Correct the token, the certificate or the rights of the role.',
    },
    DV_NOTIFY_TLS: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'No TLS connection can be made: the certificates do not match, or the port does not use TLS.',
      remedy: 'Correct the URL, or the PEM files of the CA, the certificate and the private key.',
    },
    DV_NOTIFY_TOPIC: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'The topic or its namespace does not exist or cannot be used.',
      remedy: "Create it, or correct the topic's setting.",
    },
    DV_NOTIFY_TOO_LARGE: {
      class: 'not_retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'The message is larger than the broker accepts.',
      remedy: "Raise the broker's limit, then run `dict-vsync outbox retry`.",
    },
    DV_NOTIFY_REFUSED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'The broker cannot read the message.',
      remedy: 'Report it.',
    },
    DV_ALERT_UNREACHABLE: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay of alerts.',
      meaning:
        'ALERT_URL cannot be reached, did not answer within 10 seconds, failed internally (5xx), or asks for a later try (408, 425, 429).',
      remedy: 'Do nothing if it passes. Otherwise check ALERT_URL and the network.',
    },
    DV_ALERT_REFUSED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In the relay of alerts.',
      meaning: 'ALERT_URL refused the alert (another 4xx), or redirects (3xx). Redirects are not followed.',
      remedy:
        'Correct ALERT_URL, ALERT_FORMAT or ALERT_PAGERDUTY_KEY and restart the worker, then run `dict-vsync outbox retry`.',
    },
    DV_MESSAGE_NOT_DEAD: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `outbox retry` and `dict.retry_outbox`.',
      meaning:
        'One of the ids is not the id of a dead message: no message has this id, or the message is still waiting, or it is delivered.',
      remedy: 'List the dead messages with `dict-vsync outbox list --dead`.',
    },
  },
} as const satisfies Section;
