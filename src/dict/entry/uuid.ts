import { DvError } from '../../errors/dv-error.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Whether the text is a UUID of any version. BACEN's schema RequestId says version 4, but the identifier that
 * completeClaim leaves in an entry may have another version, and BACEN's own CID example (01 02 … 10) is not version 4.
 */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

/** The 16 bytes of a RequestId, in the order they are written. DV_REQUEST_ID_INVALID when it is not a UUID. */
export function requestIdBytes(requestId: string): Buffer {
  if (isUuid(requestId)) return Buffer.from(requestId.replaceAll('-', ''), 'hex');
  throw new DvError(
    'DV_REQUEST_ID_INVALID',
    'The request id is not a UUID. Give the RequestId with which the entry was registered at DICT, as 8-4-4-4-12 hex digits.',
  );
}
