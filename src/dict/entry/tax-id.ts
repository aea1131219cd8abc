const CPF = /^[0-9]{11}$/;
const CNPJ = /^[0-9A-Z]{12}[0-9]{2}$/;

/**
 * Receita Federal's check digit: modulus 11 with weights that end in 2; a remainder below 2 gives 0. A letter counts as
 * its character code minus 48, as a digit does (IN RFB 2.229/2024).
 */
function checkDigit(text: string, largestWeight: number): number {
  let sum = 0;
  let weight = 2;
  for (let i = text.length - 1; i >= 0; i--) {
    sum += (text.charCodeAt(i) - 48) * weight;
    weight = weight === largestWeight ? 2 : weight + 1;
  }
  const rest = sum % 11;
  return rest < 2 ? 0 : 11 - rest;
}

function withCheckDigits(base: string, largestWeight: number): string {
  const first = `${base}${checkDigit(base, largestWeight)}`;
  return `${first}${checkDigit(first, largestWeight)}`;
}

/** The CPF of 11 digits from its first 9 (digits only). */
export function completeCpf(nineDigits: string): string {
  return withCheckDigits(nineDigits, 11);
}

/** The CNPJ of 14 characters from its first 12: digits and upper-case letters. */
export function completeCnpj(first12: string): string {
  return withCheckDigits(first12, 9);
}

/** Whether the text has the form of a CPF: 11 digits. DICT has some with wrong check digits, so these do not count. */
export function hasCpfForm(value: string): boolean {
  return CPF.test(value);
}

/** Whether the text has the form of a CNPJ: 12 digits or upper-case letters, and 2 check digits, right or wrong. */
export function hasCnpjForm(value: string): boolean {
  return CNPJ.test(value);
}

/** Whether the text is a CPF whose check digits are those that Receita Federal would give it. */
export function isCpf(value: string): boolean {
  return hasCpfForm(value) && completeCpf(value.slice(0, 9)) === value;
}

/** Whether the text is a CNPJ whose check digits are those that Receita Federal would give it. */
export function isCnpj(value: string): boolean {
  return hasCnpjForm(value) && completeCnpj(value.slice(0, 12)) === value;
}

/** Whether the text has the form of a CPF or a CNPJ, but its check digits are wrong. */
export function hasWrongCheckDigits(value: string): boolean {
  return (hasCpfForm(value) && !isCpf(value)) || (hasCnpjForm(value) && !isCnpj(value));
}
