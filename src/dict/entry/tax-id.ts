/** Receita Federal's check digit: modulus 11 with weights that end in 2; a remainder below 2 gives 0. */
function checkDigit(digits: string, largestWeight: number): number {
  let sum = 0;
  let weight = 2;
  for (let i = digits.length - 1; i >= 0; i--) {
    sum += Number(digits[i]) * weight;
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

/** The CNPJ of 14 digits from its first 12 (digits only). */
export function completeCnpj(twelveDigits: string): string {
  return withCheckDigits(twelveDigits, 9);
}

/** Whether the text is 11 digits of which the last two are a CPF's check digits. */
export function isCpf(value: string): boolean {
  return /^[0-9]{11}$/.test(value) && completeCpf(value.slice(0, 9)) === value;
}

/** Whether the text is 14 digits of which the last two are a CNPJ's check digits. */
export function isCnpj(value: string): boolean {
  return /^[0-9]{14}$/.test(value) && completeCnpj(value.slice(0, 12)) === value;
}
