import { formatCount, formatDuration } from './format.ts';

/** How far a long work is. */
export interface Progress {
  /** `done` so far; `share` (0 to 1) where it is known otherwise than by the total. */
  update(done: number, share?: number): void;
  end(): void;
}

/** What progress is written to: stderr, or what a test gives. */
export interface ProgressStream {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** A line rewritten on a terminal; elsewhere a new line, so that a log stays short. */
const EVERY_MS = { terminal: 100, elsewhere: 5000 };

/**
 * Shows on stderr how far a long work is, with its rate, and with share done and time left when they can be known:
 * one rewritten line on a terminal, elsewhere a plain line every few seconds (none for what is quickly done).
 */
export function progress(label: string, total?: number, stream: ProgressStream = process.stderr): Progress {
  const began = performance.now();
  const terminal = stream.isTTY === true;
  const every = terminal ? EVERY_MS.terminal : EVERY_MS.elsewhere;
  let last = began;
  return {
    update(done, share = total === undefined ? undefined : done / total) {
      const now = performance.now();
      if (now - last < every) return;
      last = now;
      const text = progressLine(label, done, share, (now - began) / 1000);
      stream.write(terminal ? `\r${text}\u001B[K` : `${text}\n`);
    },
    end() {
      if (terminal) stream.write('\r\u001B[K');
    },
  };
}

/** "importing: 120,000 at 60,000/s, 24 %, 6.33 s left". `share` 0 to 1. */
export function progressLine(
  label: string,
  done: number,
  share: number | undefined,
  seconds: number,
): string {
  const line = `${label}: ${formatCount(done)} at ${formatCount(done / seconds)}/s`;
  if (share === undefined || share <= 0) return line;
  const known = Math.min(share, 1);
  return `${line}, ${Math.floor(known * 100)} %, ${formatDuration((seconds / known) * (1 - known))} left`;
}
