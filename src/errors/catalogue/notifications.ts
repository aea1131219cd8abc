import type { Section } from './section.ts';

export const NOTIFICATIONS = {
  title: 'Notifications to Core-Dict',
  intro:
    'See these in the log, in `/readyz` and in `dict-vsync outbox list`. After a retryable one the transport is tried again; after one that is not retryable the message is put aside. A subscription to key events meets the same errors; its texts name KEY_EVENTS_URL.',
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
        'Do nothing if it passes. Otherwise check the broker. The stream is tried again (docs/guides/core-dict.md).',
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
      meaning: 'The broker refuses the token or the certificate, or the role may not use the topic.',
      remedy: 'Correct the token, the certificate or the rights of the role.',
    },
    DV_NOTIFY_TLS: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'No TLS connection can be made: the certificates do not fit, or that port has no TLS.',
      remedy: 'Correct the URL, or the PEM files of the CA, the certificate and the private key.',
    },
    DV_NOTIFY_TOPIC: {
      class: 'retryable',
      exit: 1,
      where: 'In the relay.',
      meaning: 'The topic or its namespace does not exist, or cannot be used.',
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
    DV_MESSAGE_NOT_DEAD: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `outbox retry` and `dict.retry_outbox`.',
      meaning:
        'A message that was named is not put aside: no message has that id, or it waits, or it is delivered.',
      remedy: 'See those that are put aside with `dict-vsync outbox list --dead`.',
    },
  },
} as const satisfies Section;
