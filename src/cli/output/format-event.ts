import { z } from 'zod';

const event = z.object({
  time: z.string(),
  type: z.string(),
  subject: z.string(),
  sequence: z.string(),
  data: z.record(z.string(), z.unknown()),
});

/** Matches codes, ids, hashes and times, but not text that a person wrote. */
const CODE = /^[\w:.+-]+$/;

/**
 * A message to Core-Dict on one line: its time, stream, sequence and type, and the codes and numbers in its content. It
 * contains no personal data. For a list only its length is shown.
 */
export function formatEvent(message: unknown): string {
  const parsed = event.safeParse(message);
  if (!parsed.success) return 'a message that is not from dict-vsync';
  const { time, type, subject, sequence, data } = parsed.data;
  const said = Object.entries(data).flatMap(([name, value]) => {
    if (Array.isArray(value)) return [`${name}=${value.length}`];
    if (typeof value === 'string') return CODE.test(value) ? [`${name}=${value}`] : [];
    return typeof value === 'number' || typeof value === 'boolean' ? [`${name}=${value}`] : [];
  });
  const short = type.replace(/^br\.dict-vsync\./, '').replace(/\.v\d+$/, '');
  return [time, subject.padEnd(14), `#${Number(sequence)}`.padEnd(5), short, ...said].join(' ');
}
