import { z } from 'zod';

const event = z.object({
  time: z.string(),
  type: z.string(),
  subject: z.string(),
  sequence: z.string(),
  data: z.record(z.string(), z.unknown()),
});

/** Codes, ids, hashes, times; not what a person has written. */
const CODE = /^[\w:.+-]+$/;

/**
 * A message to Core-Dict as a line: when, whose, its number there, its type, and what it says in codes and
 * numbers. Without personal data: of a list only how long it is.
 */
export function formatEvent(message: unknown): string {
  const parsed = event.safeParse(message);
  if (!parsed.success) return 'a message that is none of ours';
  const { time, type, subject, sequence, data } = parsed.data;
  const said = Object.entries(data).flatMap(([name, value]) => {
    if (Array.isArray(value)) return [`${name}=${value.length}`];
    if (typeof value === 'string') return CODE.test(value) ? [`${name}=${value}`] : [];
    return typeof value === 'number' || typeof value === 'boolean' ? [`${name}=${value}`] : [];
  });
  const short = type.replace(/^br\.dict-vsync\./, '').replace(/\.v\d+$/, '');
  return [time, subject.padEnd(14), `#${Number(sequence)}`.padEnd(5), short, ...said].join(' ');
}
