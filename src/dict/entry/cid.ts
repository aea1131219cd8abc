import { createHmac } from 'node:crypto';
import { DvError } from '../../errors/dv-error.ts';
import type { Entry } from './entry.ts';
import { requestIdBytes } from './uuid.ts';

/**
 * What a CID is made of: an Entry without owner type and opening date, which are no part of it. The key type is
 * plain text here, so that a CID of a type BACEN has yet to announce can be computed too.
 */
export type CidInput = Omit<Entry, 'keyType' | 'ownerType' | 'openingDate'> & { keyType: string };

/** Bytes in a CID and in a VSync. */
export const CID_BYTES = 32;

const CID_HEX = /^[0-9a-f]{64}$/i;

/**
 * The text a CID is the HMAC of: nine attributes joined by "&", null as "" (DICT API 2.6.1, tag Reconciliation,
 * "Cálculo de CID"). Byte-exact: nothing is trimmed, folded, normalised or validated, because a CID must come out
 * for whatever DICT holds (a name in NFD, BACEN's own example with a branch of five digits).
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
 * DV_REQUEST_ID_INVALID when the request id is no UUID.
 */
export function computeCid(entry: CidInput): Buffer {
  return createHmac('sha256', requestIdBytes(entry.requestId)).update(cidMessage(entry), 'utf8').digest();
}

/** A CID's 32 bytes from 64 hex digits of either case (schema Cid), or DV_CID_INVALID. */
export function parseCid(hex: string): Buffer {
  if (CID_HEX.test(hex)) return Buffer.from(hex, 'hex');
  throw new DvError('DV_CID_INVALID', 'A CID is 64 hexadecimal digits. Check that it was copied whole.');
}
