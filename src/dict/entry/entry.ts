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
  ownerType: 'NATURAL_PERSON' | 'LEGAL_PERSON';
  /** CPF (11 digits) or CNPJ (14), digits only. */
  taxIdNumber: string;
  name: string;
  tradeName: string | null;
  branch: string | null;
  accountNumber: string;
  /** CACC, TRAN, SLRY or SVGS. */
  accountType: string;
  /** ISO 8601; not part of the CID. */
  openingDate: string | null;
}
