import type { Section } from './section.ts';

export const KEY_EVENTS = {
  title: 'Key events',
  errors: {
    DV_TOPIC_INVALID: {
      class: 'not_retryable',
      exit: 2,
      where: 'In the worker and in `listen`.',
      meaning: 'A topic is neither NAME nor persistent://TENANT/NAMESPACE/NAME.',
      remedy: 'Correct the topic.',
    },
    DV_KEY_EVENTS_CONNECTED: {
      class: 'not_retryable',
      exit: 2,
      where: 'In the worker.',
      meaning:
        'Connected tables already feed the keys of this participant, so key events cannot feed them too.',
      remedy: 'Disconnect the tables, or unset KEY_EVENTS_URL.',
    },
    DV_KEY_EVENT_UNREADABLE: {
      class: 'not_retryable',
      exit: 1,
      where: "In the worker's log and in the dead-letter topic.",
      meaning: 'The message is not a CloudEvent 1.0 in JSON with id, source and type.',
      remedy: 'Correct the program that publishes it (docs/guides/key-events.md).',
    },
    DV_KEY_EVENT_FAILED: {
      class: 'not_retryable',
      exit: 1,
      where: "In the worker's log and in the dead-letter topic.",
      meaning: 'Processing a message failed three times with an unexpected error.',
      remedy: 'Report it. Publish the message again when the cause is removed.',
    },
  },
} as const satisfies Section;
