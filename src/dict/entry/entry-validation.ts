import { DvError } from '../../errors/dv-error.ts';
import type { Entry } from './entry.ts';
import { ENTRY_LIMITS, textProblem } from './entry-limits.ts';
import { isIspb } from './ispb.ts';
import { KEY_TYPES } from './key-type.ts';
import { hasCnpjForm, hasCpfForm, hasWrongCheckDigits } from './tax-id.ts';
import { isUuid } from './uuid.ts';

// DICT API 2.6.1: keys from the tag Key's table (its e-mail pattern allows neither "%" nor "&"), the rest from the
// schemas BrazilianAccount, Person and AccountType. Wider where DICT is known to have other values: letters in a CNPJ,
// e-mails in upper case, branches of more than four digits, dots in the names of natural persons.
const PHONE = /^\+[1-9][0-9]{1,14}$/;
const EMAIL =
  /^[a-z0-9.!#$'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const EVP = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const BRANCH = /^[0-9]{1,20}$/;
const ACCOUNT_NUMBER = /^[0-9]{1,20}$/;
/** The form of an enumeration's value. BACEN adds values as compatible changes, so no list is complete. */
const ACCOUNT_TYPE = /^[A-Z]{4}$/;
const OWNER_TYPE = /^[A-Z][A-Z_]{0,39}$/;
const NATURAL_NAME = /^[A-Za-zÀ-ÖØ-öø-ÿ' .-]{1,150}$/;
const LEGAL_NAME = /^[\u0020-\u007E\u00A1-\u00FF]{1,150}$/;
const TRADE_NAME = /^[\u0020-\u007E\u00A1-\u00FF]{1,100}$/;
const DATE_TIME =
  /^(?!0000)(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/;

function keyProblem(entry: Entry): string | undefined {
  const { keyType, key, ownerType, taxIdNumber } = entry;
  switch (keyType) {
    case 'CPF':
      if (!hasCpfForm(key)) return 'key: a CPF has 11 digits';
      return key === taxIdNumber ? undefined : "key: a CPF key is its owner's tax id number";
    case 'CNPJ':
      if (!hasCnpjForm(key)) return 'key: a CNPJ has 12 digits or upper-case letters, and 2 check digits';
      return key === taxIdNumber || ownerType !== 'LEGAL_PERSON'
        ? undefined
        : "key: a CNPJ key is its owner's tax id number";
    case 'PHONE':
      return PHONE.test(key) ? undefined : 'key: a phone is + and 2 to 15 digits, the first not 0 (E.164)';
    case 'EMAIL':
      return EMAIL.test(key) ? undefined : 'key: an e-mail is without spaces, with one @';
    case 'EVP':
      return EVP.test(key) ? undefined : 'key: an EVP is a lower-case UUID';
    default:
      return `keyType: not one of ${KEY_TYPES.join(', ')}`;
  }
}

function ownerProblems({ keyType, ownerType, taxIdNumber, name, tradeName }: Entry): string[] {
  const problems: string[] = [];
  // DICT has CNPJ keys of natural persons. Their tax id is a CPF or a CNPJ, and they may have a trade name.
  const natural = ownerType === 'NATURAL_PERSON' && keyType !== 'CNPJ';
  const trader = ownerType === 'NATURAL_PERSON' && keyType === 'CNPJ';
  if (natural && !hasCpfForm(taxIdNumber)) problems.push("taxIdNumber: a natural person's has 11 digits");
  if (trader && !hasCpfForm(taxIdNumber) && !hasCnpjForm(taxIdNumber)) {
    problems.push('taxIdNumber: not a CPF or a CNPJ');
  }
  if (ownerType === 'LEGAL_PERSON' && !hasCnpjForm(taxIdNumber)) {
    problems.push("taxIdNumber: a legal person's has 12 digits or upper-case letters, and 2 check digits");
  }
  if (taxIdNumber === '' && problems.length === 0) problems.push('taxIdNumber: empty');
  if (natural && !NATURAL_NAME.test(name)) {
    problems.push("name: a natural person's has 1 to 150 Latin letters (NFC), spaces, ', . or -");
  } else if (!LEGAL_NAME.test(name)) problems.push('name: 1 to 150 printable Latin-1 characters (NFC)');
  if (natural && tradeName !== null) problems.push('tradeName: must be null for a natural person');
  else if (tradeName !== null && !TRADE_NAME.test(tradeName)) {
    problems.push('tradeName: null, or 1 to 100 printable Latin-1 characters (NFC)');
  }
  if (!OWNER_TYPE.test(ownerType)) {
    problems.push('ownerType: not a value like NATURAL_PERSON or LEGAL_PERSON');
  }
  return problems;
}

/**
 * Whether the text is a date-time with an offset (RFC 3339) whose day exists; the pattern limits hours to seconds, and
 * refuses the year 0, which Postgres does not have.
 */
export function isDateTime(value: string): boolean {
  const [, year, month, day] = DATE_TIME.exec(value) ?? [];
  if (day === undefined) return false;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  return date.getUTCMonth() + 1 === Number(month) && date.getUTCDate() === Number(day);
}

/**
 * What makes an entry unusable: one text for each problem, "field: reason", never a value. Empty when the entry is
 * valid. Only for input (import, key events, createEntry in the simulator): an entry that DICT itself has is taken as it
 * is, within ENTRY_LIMITS. A name in NFD is refused because BACEN's patterns allow precomposed letters only. The request
 * id may be a UUID of any version (see isUuid). Check digits are DICT's business: see entryOddities.
 */
export function entryProblems(entry: Entry): string[] {
  const problems: string[] = [];
  if (!isIspb(entry.participant)) problems.push('participant: an ISPB has 8 digits');
  const problem = keyProblem(entry);
  if (problem !== undefined) problems.push(problem);
  if (!isUuid(entry.requestId)) problems.push('requestId: not a UUID');
  problems.push(...ownerProblems(entry));
  if (entry.branch !== null && !BRANCH.test(entry.branch)) problems.push('branch: null, or 1 to 20 digits');
  if (!ACCOUNT_NUMBER.test(entry.accountNumber)) problems.push('accountNumber: 1 to 20 digits');
  if (!ACCOUNT_TYPE.test(entry.accountType)) problems.push('accountType: not a value like CACC or TRAN');
  if (entry.openingDate !== null && !isDateTime(entry.openingDate)) {
    problems.push('openingDate: null, or an ISO 8601 date-time with its offset');
  }
  for (const [field, most] of Object.entries(ENTRY_LIMITS) as [keyof Entry, number][]) {
    const why = textProblem(entry[field] ?? '', most);
    if (why !== undefined && !problems.some((said) => said.startsWith(`${field}:`))) {
      problems.push(`${field}: ${why}`);
    }
  }
  return problems;
}

/** What is unusual in a valid entry, and worth a second look by the person who gave it. */
export const ODDITIES = ['wrongCheckDigits', 'upperCaseEmails', 'longBranches', 'unknownTypes'] as const;

export type Oddity = (typeof ODDITIES)[number];

const KNOWN_TYPES = new Set(['NATURAL_PERSON', 'LEGAL_PERSON', 'CACC', 'TRAN', 'SLRY', 'SVGS']);

/** What BACEN's published rules do not foresee in a valid entry. DICT has such entries, so they are only counted. */
export function entryOddities({ keyType, key, ...entry }: Entry): Oddity[] {
  const found: Record<Oddity, boolean> = {
    wrongCheckDigits:
      hasWrongCheckDigits(entry.taxIdNumber) ||
      ((keyType === 'CPF' || keyType === 'CNPJ') && hasWrongCheckDigits(key)),
    upperCaseEmails: keyType === 'EMAIL' && /[A-Z]/.test(key),
    longBranches: (entry.branch?.length ?? 0) > 4,
    unknownTypes: !KNOWN_TYPES.has(entry.ownerType) || !KNOWN_TYPES.has(entry.accountType),
  };
  return ODDITIES.filter((oddity) => found[oddity]);
}

/** Throws DV_ENTRY_INVALID with every problem that `entryProblems` finds, if there is any. */
export function validateEntry(entry: Entry): void {
  const problems = entryProblems(entry);
  if (problems.length === 0) return;
  throw new DvError(
    'DV_ENTRY_INVALID',
    `DICT cannot have this entry. Correct these fields: ${problems.join('; ')}.`,
  );
}
