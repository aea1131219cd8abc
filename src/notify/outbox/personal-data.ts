import type { Message } from './messages.ts';

/** What a message brings: its personal content too, or references by which Core-Dict can ask for it. */
export type NotifyContent = 'full' | 'references';

/**
 * Where personal data stands in each message's content; `*` is each item of an array. The same as what the schemas in
 * docs/reference/messages/schemas mark with x-personal-data, which a test checks.
 */
export const PERSONAL_DATA: Record<Message['type'], readonly string[]> = {
  'verification.summary': [],
  'reconciliation.notification': ['reason', 'summary.reason', 'summary.approvedBy'],
  'reconciliation.changes': ['changes.*.key', 'changes.*.before', 'changes.*.after'],
  'reconciliation.complete': ['summary.reason', 'summary.approvedBy'],
  'sync.deadline_missed': [],
  'undo.changes': ['changes.*.key', 'changes.*.before', 'changes.*.after'],
  'undo.done': ['summary.by', 'summary.reason'],
};

/** The content without its personal data, and whether there was some. Of a type unknown here nothing is left. */
export function withoutPersonalData(type: string, content: unknown): { content: unknown; personal: boolean } {
  if (!isKnown(type)) return { content: {}, personal: true };
  const copy = structuredClone(content);
  // Each is taken out, so not some().
  const found = PERSONAL_DATA[type].filter((path) => takeOut(copy, path.split('.')));
  return { content: copy, personal: found.length > 0 };
}

function isKnown(type: string): type is Message['type'] {
  return Object.hasOwn(PERSONAL_DATA, type);
}

/** Deletes what the path names; whether any of it was there. */
function takeOut(value: unknown, [name = '', ...rest]: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.filter((item) => takeOut(item, rest)).length > 0;
  const fields = value as Record<string, unknown>;
  if (rest.length > 0) return takeOut(fields[name], rest);
  const there = fields[name] !== undefined && fields[name] !== null;
  delete fields[name];
  return there;
}
