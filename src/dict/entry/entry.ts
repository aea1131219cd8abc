import type { KeyType } from './key-type.ts';

/**
 * One entry (vínculo): a key with its account and owner, flat, as the key base stores it. Strings are byte-exact as
 * registered at DICT. Never trim, fold or normalise them: the CID depends on every byte.
 */
export interface Entry {
  /** ISPB, 8 digits, of the account's participant. */
  participant: string;
  keyType: KeyType;
  key: string;
  /** UUID fixed when createEntry or completeClaim made the entry; its 16 bytes key the CID's HMAC. */
  requestId: string;
  /** NATURAL_PERSON or LEGAL_PERSON; BACEN's schema Person says only that it is text, so there may be others. */
  ownerType: string;
  /** CPF (11 digits) or CNPJ (14 digits or upper-case letters), without punctuation. */
  taxIdNumber: string;
  name: string;
  tradeName: string | null;
  branch: string | null;
  accountNumber: string;
  /** CACC, TRAN, SLRY or SVGS; BACEN may add others. */
  accountType: string;
  /** ISO 8601; not part of the CID. */
  openingDate: string | null;
}
