import type { PulsarSettings } from '../pulsar/pulsar-connection.ts';
import type { OutboxMessage } from './transport.ts';

type Stream = Pick<OutboxMessage, 'participant' | 'keyType'>;

/** The topic of a stream's messages. */
export function topicOf({ topic }: PulsarSettings, { participant, keyType }: Stream): string {
  return topic.replaceAll('{participant}', participant).replaceAll('{keyType}', keyType);
}

/** What all transports through Pulsar say of a message, beside its body. */
export interface Labels {
  /** The stream: a partition, and a consumer of a Key_Shared subscription, gets all of it, in order. */
  key: string;
  properties: Record<string, string>;
}

/** A message's key and properties: by them a consumer may choose without reading the body. */
export function labels(message: OutboxMessage): Labels {
  const { id, type, participant, keyType, sequence } = message;
  return {
    key: `${participant}/${keyType}`,
    properties: { 'content-type': 'application/cloudevents+json', id, type, participant, keyType, sequence },
  };
}
