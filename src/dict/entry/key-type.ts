import { DvError } from '../../errors/dv-error.ts';

/**
 * BACEN's key types (DICT API 2.6.1, schema KeyType). New values may be added, so they arrive as text and are checked
 * here.
 */
export const KEY_TYPES = ['CPF', 'CNPJ', 'PHONE', 'EMAIL', 'EVP'] as const;

export type KeyType = (typeof KEY_TYPES)[number];

export function isKeyType(value: string): value is KeyType {
  return (KEY_TYPES as readonly string[]).includes(value);
}

/** The value as a KeyType, or DV_KEY_TYPE_UNKNOWN. */
export function parseKeyType(value: string): KeyType {
  if (isKeyType(value)) return value;
  throw new DvError('DV_KEY_TYPE_UNKNOWN', `Unknown key type. Use one of ${KEY_TYPES.join(', ')}.`);
}
