import { readFileSync } from 'node:fs';
import { DvError } from '../../errors/dv-error.ts';
import type { PulsarErrors } from './pulsar-errors.ts';

/** How to connect to a Pulsar, with either protocol. */
export interface PulsarSettings {
  /** pulsar://, pulsar+ssl://, ws:// or wss:// */
  url: string;
  /**
   * `persistent://tenant/namespace/topic`, in which {participant} and {keyType} are replaced by those of the message.
   */
  topic: string;
  token?: string | undefined;
  /** A file with the token. It is read again for each connection, so that the token can be renewed. */
  tokenFile?: string | undefined;
  /** PEM files. */
  tlsCa?: string | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
}

/** The token, if there is one. Throws DV_NOTIFY_UNAUTHORIZED, which is retried, if its file cannot be read. */
export function readToken({ token, tokenFile }: PulsarSettings, errors: PulsarErrors): string | undefined {
  try {
    return tokenFile === undefined
      ? token
      : readNamed('NOTIFY_TOKEN_FILE', tokenFile).toString('utf8').trim();
  } catch (error) {
    throw errors.unauthorized(error);
  }
}

/** Reads the file that a setting names. Throws DV_SETTINGS_INVALID if it cannot be read. */
export function readNamed(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new DvError('DV_SETTINGS_INVALID', `The file named by ${setting} cannot be read.`, { cause });
  }
}
