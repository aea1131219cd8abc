import { DvError } from '../../errors/dv-error.ts';
import type { Entry } from '../entry/entry.ts';
import { ENTRY_LIMITS, textProblem } from '../entry/entry-limits.ts';
import { entryProblems, isDateTime } from '../entry/entry-validation.ts';
import { isIspb } from '../entry/ispb.ts';
import { isKeyType } from '../entry/key-type.ts';

/** The events that a core system publishes about its keys: CloudEvents types (schemas/key.*.json). */
export const KEY_EVENT_TYPES = ['key.created', 'key.updated', 'key.deleted'] as const;

export type KeyEventType = (typeof KEY_EVENT_TYPES)[number];

/** A key event as dict.apply_key_event takes it. */
export interface KeyEvent {
  source: string;
  id: string;
  type: KeyEventType;
  /** RFC 3339; null only if `reason` refuses it. */
  time: string | null;
  /** Orders events with the same time; compares as text. */
  sequence: string | null;
  participant: string;
  keyType: string;
  key: string;
  /** The whole entry; null for key.deleted, and if `reason` refuses the event. */
  entry: Entry | null;
  /** Why the event cannot be used: codes, comma-separated, never values. */
  reason: string | null;
}

/** Source and id together must fit into an index of Postgres. */
const NAME_MAX_BYTES = 500;
const REF = ['participant', 'keyType', 'key'] as const;
const OPTIONAL = ['tradeName', 'branch', 'openingDate'] as const;
const TEXTS = ['requestId', 'ownerType', 'taxIdNumber', 'name', 'accountNumber', 'accountType'] as const;

/**
 * Reads a message as a key event: CloudEvents 1.0, structured JSON. An event that has a source and an id but cannot be
 * used is returned with a `reason`. Returns undefined for a type that is not a key event's. DV_KEY_EVENT_UNREADABLE for
 * a message that is not a CloudEvent: it has no source and id under which it could be recorded.
 */
export function readKeyEvent(payload: Buffer): KeyEvent | undefined {
  const { source, id, type, time, sequence, data } = envelopeOf(payload);
  if (!isOurs(type)) return undefined;
  const content = isObject(data) ? data : {};
  const entry = entryOf(content);
  const { participant, keyType, key } = entry;
  const timed = typeof time === 'string' && isDateTime(time);
  const reasons = [
    ...(timed ? [] : [time === undefined ? 'TIME_MISSING' : 'TIME_INVALID']),
    ...(type === 'key.deleted' ? keyProblems(entry) : entryProblems(entry)).map((problem) =>
      codeOf(problem, content),
    ),
  ];
  return {
    source,
    id,
    type,
    time: timed ? time : null,
    // Numbers are padded to the same length, so that they compare as text.
    sequence: isText(sequence) ? sequence.replace(/^\d{1,20}$/, (digits) => digits.padStart(20, '0')) : null,
    participant,
    keyType,
    key,
    entry: type === 'key.deleted' || reasons.length > 0 ? null : entry,
    reason: reasons.length > 0 ? [...new Set(reasons)].join(',') : null,
  };
}

function envelopeOf(payload: Buffer): Record<string, unknown> & { source: string; id: string; type: string } {
  let event: unknown;
  try {
    event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    throw unreadable();
  }
  if (!isObject(event) || event['specversion'] !== '1.0') throw unreadable();
  const { source, id, type } = event;
  if (!isName(source) || !isName(id) || !isName(type)) throw unreadable();
  return { ...event, source, id, type };
}

function unreadable(): DvError {
  return new DvError(
    'DV_KEY_EVENT_UNREADABLE',
    'The message is not a CloudEvent 1.0 in JSON with specversion, id, source and type (docs/guides/key-events.md).',
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  // No control characters, because Postgres does not store NUL.
  return (
    typeof value === 'string' &&
    value.isWellFormed() &&
    Buffer.byteLength(value) <= NAME_MAX_BYTES &&
    /^\P{Cc}+$/u.test(value)
  );
}

function isOurs(type: string): type is KeyEventType {
  return (KEY_EVENT_TYPES as readonly string[]).includes(type);
}

/** Whether it is a string that Postgres can store. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0') && value.isWellFormed();
}

/** The content as an entry, byte-exact. Values that are missing or not text become '', which is valid for no field. */
function entryOf(content: Record<string, unknown>): Entry {
  const text = (field: string) => (isText(content[field]) ? content[field] : '');
  const fields = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, text(name)]));
  // Many clients (Go, proto3) send "" for an absent optional field, and the CID takes null for "".
  const optional = OPTIONAL.map((name) => [
    name,
    isAbsent(content[name]) || content[name] === '' ? null : text(name),
  ]);
  return { ...fields(REF), ...fields(TEXTS), ...Object.fromEntries(optional) } as Entry;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

/** What is wrong with the identity of a key, in the words of entryProblems. */
function keyProblems({ participant, keyType, key }: Entry): string[] {
  return [
    ...(isIspb(participant) ? [] : ['participant: an ISPB has 8 digits']),
    ...(isKeyType(keyType) ? [] : ['keyType: unknown']),
    ...(key !== '' && textProblem(key, ENTRY_LIMITS.key) === undefined ? [] : ['key: 1 to 77 characters']),
  ];
}

/** A problem "requestId: …" as a code: REQUEST_ID_MISSING, REQUEST_ID_INVALID. */
function codeOf(problem: string, content: Record<string, unknown>): string {
  const [field = ''] = problem.split(':', 1);
  if (field === 'keyType') return 'KEY_TYPE_UNKNOWN';
  const name = field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return `${name}_${isAbsent(content[field]) || content[field] === '' ? 'MISSING' : 'INVALID'}`;
}
