import { readFileSync } from 'node:fs';
import { UsageError } from '../errors.ts';
import { pulsarError } from './pulsar-errors.ts';
import type { OutboxMessage } from './way.ts';

/** How a Pulsar is reached, whichever way. */
export interface PulsarSettings {
  /** pulsar://, pulsar+ssl://, ws:// or wss:// */
  url: string;
  /** `persistent://tenant/namespace/topic`, in which {participant} and {keyType} stand for the message's. */
  topic: string;
  token?: string | undefined;
  /** A file that holds the token; read at each connection, so that it may be renewed. */
  tokenFile?: string | undefined;
  /** PEM files. */
  tlsCa?: string | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
}

/** The token to show, if there is one. DV_NOTIFY_UNAUTHORIZED when its file cannot be read: it may be back soon. */
export function readToken({ token, tokenFile }: PulsarSettings): string | undefined {
  try {
    return tokenFile === undefined
      ? token
      : readNamed('NOTIFY_TOKEN_FILE', tokenFile).toString('utf8').trim();
  } catch (error) {
    throw pulsarError.unauthorized(error);
  }
}

/** The file that a setting names. DV_SETTINGS_INVALID when it cannot be read. */
export function readNamed(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError('DV_SETTINGS_INVALID', `The file that ${setting} names cannot be read.`, { cause });
  }
}

type Stream = Pick<OutboxMessage, 'participant' | 'keyType'>;

/** The topic of a stream's messages. */
export function topicOf({ topic }: PulsarSettings, { participant, keyType }: Stream): string {
  return topic.replaceAll('{participant}', participant).replaceAll('{keyType}', keyType);
}

/** What all ways through Pulsar say of a message, beside its body. */
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
