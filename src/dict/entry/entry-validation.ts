import { DvError } from '../../errors/dv-error.ts';
import type { Entry } from './entry.ts';
import { isIspb } from './ispb.ts';
import { KEY_TYPES } from './key-type.ts';
import { isCnpj, isCpf } from './tax-id.ts';
import { isUuid } from './uuid.ts';

// DICT API 2.6.1: keys from the tag Key's table (its e-mail pattern allows neither "%" nor "&"), the rest from the
// schemas BrazilianAccount, Person and AccountType.
const PHONE = /^\+[1-9][0-9]{1,14}$/;
const EMAIL =
  /^[a-z0-9.!#$'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const EVP = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** DICT API 2.6.1, tag Key: characters of the longest key. */
export const KEY_MAX_LENGTH = 77;
const BRANCH = /^[0-9]{1,4}$/;
const ACCOUNT_NUMBER = /^[0-9]{1,20}$/;
const ACCOUNT_TYPES = ['CACC', 'TRAN', 'SLRY', 'SVGS'];
const NATURAL_NAME = /^[A-Za-zÀ-ÖØ-öø-ÿ' -]{1,150}$/;
const LEGAL_NAME = /^[\u0020-\u007E\u00A1-\u00FF]{1,150}$/;
const TRADE_NAME = /^[\u0020-\u007E\u00A1-\u00FF]{1,100}$/;
const CPF_FORMAT = /^[0-9]{11}$/;
const CNPJ_FORMAT = /^[0-9]{14}$/;
const DATE_TIME =
  /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/;

function keyProblem(entry: Entry): string | undefined {
  const { keyType, key } = entry;
  if (key.length > KEY_MAX_LENGTH) return `key: longer than ${KEY_MAX_LENGTH} characters`;
  switch (keyType) {
    case 'CPF':
      if (!isCpf(key)) return 'key: a CPF has 11 digits and correct check digits';
      return key === entry.taxIdNumber ? undefined : "key: a CPF key is its owner's tax id number";
    case 'CNPJ':
      if (!isCnpj(key)) return 'key: a CNPJ has 14 digits and correct check digits';
      return key === entry.taxIdNumber ? undefined : "key: a CNPJ key is its owner's tax id number";
    case 'PHONE':
      return PHONE.test(key) ? undefined : 'key: a phone is + and 2 to 15 digits, the first not 0 (E.164)';
    case 'EMAIL':
      return EMAIL.test(key) ? undefined : 'key: an e-mail is lower case, without spaces, with one @';
    case 'EVP':
      return EVP.test(key) ? undefined : 'key: an EVP is a lower-case UUID';
    default:
      return `keyType: not one of ${KEY_TYPES.join(', ')}`;
  }
}

function ownerProblems(entry: Entry): string[] {
  const problems: string[] = [];
  if (entry.ownerType === 'NATURAL_PERSON') {
    if (!CPF_FORMAT.test(entry.taxIdNumber)) problems.push("taxIdNumber: a natural person's has 11 digits");
    if (!NATURAL_NAME.test(entry.name)) {
      problems.push("name: a natural person's has 1 to 150 Latin letters (NFC), spaces, ' or -");
    }
    if (entry.tradeName !== null) problems.push('tradeName: must be null for a natural person');
  } else if (entry.ownerType === 'LEGAL_PERSON') {
    if (!CNPJ_FORMAT.test(entry.taxIdNumber)) problems.push("taxIdNumber: a legal person's has 14 digits");
    if (!LEGAL_NAME.test(entry.name)) problems.push('name: 1 to 150 printable Latin-1 characters (NFC)');
    if (entry.tradeName !== null && !TRADE_NAME.test(entry.tradeName)) {
      problems.push('tradeName: null, or 1 to 100 printable Latin-1 characters (NFC)');
    }
  } else {
    problems.push('ownerType: not NATURAL_PERSON or LEGAL_PERSON');
  }
  return problems;
}

/** Whether the text is a date-time with an offset (RFC 3339) whose day exists; the pattern limits hours to seconds. */
export function isDateTime(value: string): boolean {
  const [, year, month, day] = DATE_TIME.exec(value) ?? [];
  if (day === undefined) return false;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  return date.getUTCMonth() + 1 === Number(month) && date.getUTCDate() === Number(day);
}

/**
 * What BACEN would refuse in the entry: one text for each problem, "field: reason", never a value. Empty when the entry
 * is valid. Only for input (import, seeding): an entry that DICT itself has is taken as it is, its CID is computed and
 * it is never checked here. A name in NFD is refused because BACEN's patterns allow precomposed letters only. The
 * request id may be a UUID of any version (see isUuid). Check digits are required in CPF and CNPJ keys; an owner's tax
 * id needs only the right length (BACEN's own example owner has wrong check digits).
 */
export function entryProblems(entry: Entry): string[] {
  const problems: string[] = [];
  if (!isIspb(entry.participant)) problems.push('participant: an ISPB has 8 digits');
  const problem = keyProblem(entry);
  if (problem !== undefined) problems.push(problem);
  if (!isUuid(entry.requestId)) problems.push('requestId: not a UUID');
  problems.push(...ownerProblems(entry));
  if (entry.branch !== null && !BRANCH.test(entry.branch)) problems.push('branch: null, or 1 to 4 digits');
  if (!ACCOUNT_NUMBER.test(entry.accountNumber)) problems.push('accountNumber: 1 to 20 digits');
  if (!ACCOUNT_TYPES.includes(entry.accountType)) {
    problems.push(`accountType: not one of ${ACCOUNT_TYPES.join(', ')}`);
  }
  if (entry.openingDate !== null && !isDateTime(entry.openingDate)) {
    problems.push('openingDate: null, or an ISO 8601 date-time with its offset');
  }
  return problems;
}

/** Throws DV_ENTRY_INVALID with every problem that `entryProblems` finds, if there is any. */
export function validateEntry(entry: Entry): void {
  const problems = entryProblems(entry);
  if (problems.length === 0) return;
  throw new DvError(
    'DV_ENTRY_INVALID',
    `BACEN would refuse this entry. Correct these fields: ${problems.join('; ')}.`,
  );
}
