import type { PulsarSettings } from '../pulsar/pulsar-connection.ts';
import type { OutboxMessage } from './transport.ts';

type Stream = Pick<OutboxMessage, 'participant' | 'keyType'>;

/** The topic of a stream's messages. */
export function topicOf({ topic }: PulsarSettings, { participant, keyType }: Stream): string {
  return topic.replaceAll('{participant}', participant).replaceAll('{keyType}', keyType);
}

/** What all Pulsar transports send with a message, beside its body. */
export interface Labels {
  /** The stream. All its messages go to one partition, and to one consumer of a Key_Shared subscription, in order. */
  key: string;
  properties: Record<string, string>;
}

/** A message's key and properties. A consumer can filter by them without reading the body. */
export function labels(message: OutboxMessage): Labels {
  const { id, type, participant, keyType, sequence } = message;
  return {
    key: `${participant}/${keyType}`,
    properties: { 'content-type': 'application/cloudevents+json', id, type, participant, keyType, sequence },
  };
}
