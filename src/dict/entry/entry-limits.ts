import type { Entry } from './entry.ts';

/**
 * The longest text of each attribute that the key base takes, in characters, whoever sends it: DICT, a CSV, a key event
 * or a connected table (dict.feed_reason has the same numbers). Key, name and trade name: DICT API 2.6.1, schemas Key
 * and Person; the last two doubled, because a letter and its accent may be two characters. The rest is longer than
 * anything seen at DICT. There are limits so that no text is too long for an index of Postgres.
 */
export const ENTRY_LIMITS = {
  participant: 8,
  keyType: 40,
  key: 77,
  requestId: 36,
  ownerType: 40,
  taxIdNumber: 40,
  name: 300,
  tradeName: 200,
  branch: 40,
  accountNumber: 40,
  accountType: 40,
  openingDate: 40,
} as const satisfies Record<keyof Entry, number>;

/** Why Postgres could not store this text, or not in this length; undefined if it can. Never quotes the text. */
export function textProblem(text: string, most: number): string | undefined {
  if (text.includes('\0')) return 'has a NUL character';
  // A half of a surrogate pair cannot be written as UTF-8.
  if (!text.isWellFormed()) return 'is not well-formed Unicode';
  // Counted as Postgres counts; the first comparison saves counting what is surely too long.
  if (text.length > 2 * most || Array.from(text).length > most) return `is longer than ${most} characters`;
  return undefined;
}
