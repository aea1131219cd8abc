import type { Message } from './messages.ts';

/** What a message contains: personal data too, or only references by which Core-Dict can look it up. */
export type NotifyContent = 'full' | 'references';

/**
 * The paths of personal data in each message's content. `*` means each item of an array. A test checks that the schemas
 * in docs/reference/messages/schemas mark the same paths with x-personal-data.
 */
export const PERSONAL_DATA: Record<Message['type'], readonly string[]> = {
  'verification.summary': [],
  'reconciliation.notification': ['reason', 'summary.reason', 'summary.approvedBy'],
  'reconciliation.changes': ['changes.*.key', 'changes.*.before', 'changes.*.after'],
  'reconciliation.complete': ['summary.reason', 'summary.approvedBy'],
  'sync.deadline_missed': [],
  'warning.raised': [],
  'warning.cleared': [],
  'undo.changes': ['changes.*.key', 'changes.*.before', 'changes.*.after'],
  'undo.done': ['summary.by', 'summary.reason'],
};

/** The content without its personal data, and whether it had any. Of an unknown message type no content is left. */
export function withoutPersonalData(type: string, content: unknown): { content: unknown; personal: boolean } {
  if (!isKnown(type)) return { content: {}, personal: true };
  const copy = structuredClone(content);
  // Not some(): it would stop at the first path that was removed.
  const found = PERSONAL_DATA[type].filter((path) => takeOut(copy, path.split('.')));
  return { content: copy, personal: found.length > 0 };
}

function isKnown(type: string): type is Message['type'] {
  return Object.hasOwn(PERSONAL_DATA, type);
}

/** Deletes what the path names. Returns whether there was a value. */
function takeOut(value: unknown, [name = '', ...rest]: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.filter((item) => takeOut(item, rest)).length > 0;
  const fields = value as Record<string, unknown>;
  if (rest.length > 0) return takeOut(fields[name], rest);
  const there = fields[name] !== undefined && fields[name] !== null;
  delete fields[name];
  return there;
}
