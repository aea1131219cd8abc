import { createHmac } from 'node:crypto';
import { DvError } from '../../errors/dv-error.ts';
import type { Entry } from './entry.ts';
import { requestIdBytes } from './uuid.ts';

/**
 * What a CID is computed from: an Entry without owner type and opening date, which are not part of it. The key type is
 * plain text here, so that the CID of a key type that BACEN adds later can be computed too.
 */
export type CidInput = Omit<Entry, 'keyType' | 'ownerType' | 'openingDate'> & { keyType: string };

/** Bytes in a CID and in a VSync. */
export const CID_BYTES = 32;

const CID_HEX = /^[0-9a-f]{64}$/i;

/**
 * The text whose HMAC is the CID: nine attributes joined by "&", null as "" (DICT API 2.6.1, tag Reconciliation,
 * "Cálculo de CID"). Byte-exact: nothing is trimmed, folded, normalised or validated, because the CID must be right
 * for whatever DICT has (a name in NFD, BACEN's own example with a branch of five digits).
 */
export function cidMessage(entry: CidInput): string {
  return [
    entry.keyType,
    entry.key,
    entry.taxIdNumber,
    entry.name,
    entry.tradeName ?? '',
    entry.participant,
    entry.branch ?? '',
    entry.accountNumber,
    entry.accountType,
  ].join('&');
}

/**
 * The CID, 32 bytes: HMAC-SHA256 of the UTF-8 `cidMessage`, keyed by the RequestId's 16 bytes (same source).
 * DV_REQUEST_ID_INVALID when the request id is not a UUID.
 */
export function computeCid(entry: CidInput): Buffer {
  return createHmac('sha256', requestIdBytes(entry.requestId)).update(cidMessage(entry), 'utf8').digest();
}

/** A CID's 32 bytes from 64 hex digits in upper or lower case (schema Cid), or DV_CID_INVALID. */
export function parseCid(hex: string): Buffer {
  if (CID_HEX.test(hex)) return Buffer.from(hex, 'hex');
  throw new DvError('DV_CID_INVALID', 'A CID is 64 hexadecimal digits. Check that it was copied completely.');
}
