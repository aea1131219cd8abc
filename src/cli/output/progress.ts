import { formatCount, formatDuration } from './format.ts';

/** Progress of a long operation. */
export interface Progress {
  /** `done`: items so far. `share`: 0 to 1, if it is known and the total is not. */
  update(done: number, share?: number): void;
  end(): void;
}

/** The stream for progress: stderr, or that of a test. */
export interface ProgressStream {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** A terminal rewrites one line. Elsewhere each update is a new line, less often, so that a log stays short. */
const EVERY_MS = { terminal: 100, elsewhere: 5000 };

/**
 * Shows the progress of a long operation on stderr: items, rate and, if they are known, the share done and the time
 * left. A terminal rewrites one line. Elsewhere a plain line is printed every few seconds, and none for a short
 * operation.
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

/** "importing: 120,000 at 60,000/s, 24 %, 6.33 s left". `share` is 0 to 1. */
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
