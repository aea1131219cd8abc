import { readFileSync } from 'node:fs';
import { DvError } from '../../errors/dv-error.ts';
import type { PulsarErrors } from './pulsar-errors.ts';

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
export function readToken({ token, tokenFile }: PulsarSettings, errors: PulsarErrors): string | undefined {
  try {
    return tokenFile === undefined
      ? token
      : readNamed('NOTIFY_TOKEN_FILE', tokenFile).toString('utf8').trim();
  } catch (error) {
    throw errors.unauthorized(error);
  }
}

/** The file that a setting names. DV_SETTINGS_INVALID when it cannot be read. */
export function readNamed(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new DvError('DV_SETTINGS_INVALID', `The file that ${setting} names cannot be read.`, { cause });
  }
}
