import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { entryOddities, entryProblems, validateEntry } from '../../../../src/dict/entry/entry-validation.ts';
import { parseIspb } from '../../../../src/dict/entry/ispb.ts';
import {
  completeCnpj,
  completeCpf,
  hasWrongCheckDigits,
  isCnpj,
  isCpf,
} from '../../../../src/dict/entry/tax-id.ts';
import { bacenEntry } from './bacen-entry.ts';

const phone: Entry = { ...bacenEntry, branch: '0001' };
const cpf: Entry = { ...phone, keyType: 'CPF', key: '12345678909', taxIdNumber: '12345678909' };
const company: Entry = {
  ...phone,
  keyType: 'CNPJ',
  key: '11222333000181',
  ownerType: 'LEGAL_PERSON',
  taxIdNumber: '11222333000181',
  name: 'Padaria Três Irmãos & Cia. Ltda',
  tradeName: 'Padaria 3 Irmãos',
};
const email: Entry = { ...phone, keyType: 'EMAIL', key: 'pix@bcb.gov.br' };
const evp: Entry = { ...phone, keyType: 'EVP', key: '123e4567-e89b-12d3-a456-426655440000' };

const fields = (entry: Entry) => entryProblems(entry).map((problem) => problem.split(':')[0]);

test.each([phone, cpf, company, email, evp])('a correct $keyType entry has no problem', (entry) => {
  expect(entryProblems(entry)).toEqual([]);
  validateEntry(entry);
});

test.each<[string, Entry]>([
  ['CPF of 10 digits', { ...cpf, key: '1234567890', taxIdNumber: '12345678909' }],
  ["CPF that is another person's", { ...cpf, taxIdNumber: '11122233396' }],
  ['CNPJ of 13 characters', { ...company, key: '1122233300018', taxIdNumber: '11222333000181' }],
  ['CNPJ with lower-case letters', { ...company, key: '12abc34501de35', taxIdNumber: '12ABC34501DE35' }],
  ['CNPJ with a letter as a check digit', { ...company, key: '12ABC34501DE3A' }],
  ["CNPJ that is another company's", { ...company, taxIdNumber: '11222333000262' }],
  ['CNPJ formatted', { ...company, key: '11.222.333/0001-81' }],
  ['phone without +', { ...phone, key: '5511987654321' }],
  ['phone that starts with 0', { ...phone, key: '+0511987654321' }],
  ['phone of 16 digits', { ...phone, key: '+5511987654321000' }],
  ['phone with a line end', { ...phone, key: '+5511987654321\n' }],
  ['e-mail without @', { ...email, key: 'pix.bcb.gov.br' }],
  ['e-mail with &', { ...email, key: 'a&b@bcb.gov.br' }],
  ['e-mail of 78 characters', { ...email, key: `${'a'.repeat(67)}@bcb.gov.br` }],
  ['EVP in upper case', { ...evp, key: evp.key.toUpperCase() }],
  ['EVP without dashes', { ...evp, key: evp.key.replaceAll('-', '') }],
])('key refused: %s', (_what, entry) => {
  expect(fields(entry)).toEqual(['key']);
});

test('an e-mail of 77 characters is accepted', () => {
  expect(entryProblems({ ...email, key: `${'a'.repeat(66)}@bcb.gov.br` })).toEqual([]);
});

test.each<[string, Partial<Entry>]>([
  ['participant', { participant: '1234567' }],
  ['keyType', { keyType: 'IBAN' as Entry['keyType'] }],
  ['requestId', { requestId: 'x' }],
  ['ownerType', { ownerType: 'a robot' }],
  ['ownerType', { ownerType: 'R'.repeat(41) }],
  ['ownerType', { ownerType: '' }],
  ['taxIdNumber', { taxIdNumber: '11222333000181' }],
  ['name', { name: '' }],
  ['name', { name: 'João Silva'.normalize('NFD') }],
  ['name', { name: 'João 2' }],
  ['name', { name: 'a'.repeat(151) }],
  ['tradeName', { tradeName: 'Padaria' }],
  ['branch', { branch: '1'.repeat(21) }],
  ['branch', { branch: '1-9' }],
  ['branch', { branch: '' }],
  ['accountNumber', { accountNumber: '' }],
  ['accountNumber', { accountNumber: '1'.repeat(21) }],
  ['accountType', { accountType: 'cacc' }],
  ['accountType', { accountType: '' }],
  ['taxIdNumber', { ownerType: 'FOREIGN_PERSON', taxIdNumber: '' }],
  ['taxIdNumber', { ownerType: 'FOREIGN_PERSON', taxIdNumber: '1'.repeat(41) }],
  ['taxIdNumber', { ownerType: 'FOREIGN_PERSON', taxIdNumber: 'A\0' }],
  ['taxIdNumber', { ownerType: 'FOREIGN_PERSON', taxIdNumber: 'A\uD800' }],
  ['openingDate', { openingDate: '2010-01-10' }],
  ['openingDate', { openingDate: '2010-02-30T00:00:00Z' }],
  ['openingDate', { openingDate: '2010-01-10T25:00:00Z' }],
  ['openingDate', { openingDate: '0000-01-10T00:00:00Z' }],
])('refused %s: %j', (field, change) => {
  expect(fields({ ...phone, ...change })).toEqual([field]);
});

test.each<[string, Partial<Entry>]>([
  ['taxIdNumber', { taxIdNumber: '12345678909', keyType: 'EMAIL', key: email.key }],
  ['name', { name: 'Padaria 漢字' }],
  ['tradeName', { tradeName: '' }],
  ['tradeName', { tradeName: 'a'.repeat(101) }],
])('for a company, refused %s: %j', (field, change) => {
  expect(fields({ ...company, ...change })).toEqual([field]);
});

test.each<Partial<Entry>>([
  { branch: null },
  { openingDate: '2010-01-10T03:00:00.000Z' },
  { openingDate: '2012-02-29T00:00:00-03:00' },
  { requestId: 'A946D533-7F22-12A5-0A9B-E87CD55C0F4D' },
  { name: "D'Ávila-Conceição dos Santos" },
  { name: 'José A. da Silva Jr. ' },
  { accountType: 'XPTO' },
  { ownerType: 'FOREIGN_PERSON', taxIdNumber: 'PASSPORT-X1', name: 'Company 2', tradeName: 'Padaria 3' },
])('accepted: %j', (change) => {
  expect(entryProblems({ ...phone, ...change })).toEqual([]);
});

test('validateEntry names every wrong field, and no value', () => {
  const entry: Entry = {
    ...phone,
    key: 'SECRETKEY',
    name: 'SECRETNAME1',
    accountNumber: 'SECRETACCOUNT',
    taxIdNumber: 'SECRETTAX',
  };
  expect(() => validateEntry(entry)).toThrow(
    expect.objectContaining({
      code: 'DV_ENTRY_INVALID',
      message: expect.stringMatching(/key: .*taxIdNumber: .*name: .*accountNumber: /) as string,
    }),
  );
  expect(() => validateEntry(entry)).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining('SECRET') as string }),
  );
});

test('an ISPB is 8 digits, leading zeros included', () => {
  expect(parseIspb('00000001')).toBe('00000001');
  for (const wrong of ['', '1234567', '123456789', '1234567a', '12345678\n', '１２３４５６７８']) {
    expect(() => parseIspb(wrong)).toThrow(expect.objectContaining({ code: 'DV_ISPB_INVALID' }));
  }
});

test.each<[string, Entry, string[]]>([
  ['an ordinary entry', phone, ['wrongCheckDigits']],
  ['nothing unusual', cpf, []],
  [
    "BACEN's example CPF as a key",
    { ...cpf, key: '11122233300', taxIdNumber: '11122233300' },
    ['wrongCheckDigits'],
  ],
  ['a CNPJ with letters', { ...company, key: '12ABC34501DE35', taxIdNumber: '12ABC34501DE35' }, []],
  [
    'a CNPJ with letters and wrong check digits',
    { ...company, key: '12ABC34501DE36', taxIdNumber: '12ABC34501DE36' },
    ['wrongCheckDigits'],
  ],
  [
    'a CNPJ key of a natural person',
    { ...company, ownerType: 'NATURAL_PERSON', taxIdNumber: '12345678909' },
    [],
  ],
  ['an e-mail in upper case', { ...email, taxIdNumber: cpf.key, key: 'Pix@bcb.gov.br' }, ['upperCaseEmails']],
  ['a branch of five digits', { ...cpf, branch: '00001' }, ['longBranches']],
  ['an owner type that BACEN added', { ...cpf, ownerType: 'FOREIGN_PERSON' }, ['unknownTypes']],
  ['an account type that BACEN added', { ...cpf, accountType: 'PPAY' }, ['unknownTypes']],
])('accepted: %s', (_what, entry, oddities) => {
  expect(entryProblems(entry)).toEqual([]);
  expect(entryOddities(entry)).toEqual(oddities);
});

test('check digits accept known numbers, and notice any single wrong digit', () => {
  expect(completeCpf('123456789')).toBe('12345678909');
  expect(completeCpf('111222333')).toBe('11122233396');
  expect(completeCnpj('112223330001')).toBe('11222333000181');
  expect(completeCnpj('000000000001')).toBe('00000000000191');
  expect(completeCnpj('12ABC34501DE')).toBe('12ABC34501DE35');
  expect(isCnpj('12ABC34501DE35')).toBe(true);
  expect(isCnpj('12abc34501de35')).toBe(false);
  const digits = (length: number) => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));
  const wrongAt = (value: string, at: number) =>
    value.slice(0, at) + String((Number(value[at]) + 1) % 10) + value.slice(at + 1);
  fc.assert(
    fc.property(digits(9), digits(12), fc.nat({ max: 10 }), fc.nat({ max: 13 }), (nine, twelve, i, j) => {
      expect(isCpf(completeCpf(nine))).toBe(true);
      expect(isCnpj(completeCnpj(twelve))).toBe(true);
      // Two remainders (0 and 1) share the digit 0, so one changed digit may go unnoticed there.
      if (!completeCpf(nine).slice(9).includes('0')) expect(isCpf(wrongAt(completeCpf(nine), i))).toBe(false);
      if (!completeCnpj(twelve).slice(12).includes('0'))
        expect(isCnpj(wrongAt(completeCnpj(twelve), j))).toBe(false);
    }),
  );
});

test('of a CNPJ with letters, any single wrong character is noticed', () => {
  const base = fc.stringMatching(/^[0-9A-Z]{12}$/);
  // Two characters whose difference is a multiple of 11 have the same remainder: 0, B and M, for example.
  const differs = (a: string, b: string) => (a.charCodeAt(0) - b.charCodeAt(0)) % 11 !== 0;
  fc.assert(
    fc.property(base, fc.nat({ max: 11 }), fc.stringMatching(/^[0-9A-Z]$/), (twelve, at, other) => {
      const whole = completeCnpj(twelve);
      expect(isCnpj(whole)).toBe(true);
      expect(whole.slice(0, 12)).toBe(twelve);
      fc.pre(differs(twelve[at]!, other) && !whole.slice(12).includes('0'));
      const wrong = twelve.slice(0, at) + other + twelve.slice(at + 1) + whole.slice(12);
      expect(isCnpj(wrong)).toBe(false);
      expect(hasWrongCheckDigits(wrong)).toBe(true);
    }),
  );
});
