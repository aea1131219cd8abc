import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

const GAP = '  ';

/**
 * A table for people. Each column is as wide as its widest cell. On a narrower terminal (`room`), cells of several
 * words are wrapped. Ids and keys are never cut.
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  room = process.stdout.columns ?? Infinity,
): string {
  const widths = fitting([header, ...rows], room);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => padded(cell, widths[column] ?? 0))
      .join(GAP)
      .trimEnd();
  const wrapped = (cells: readonly string[]): string => {
    const parts = cells.map((cell, column) => wrappedTo(cell, widths[column] ?? 0));
    const height = Math.max(1, ...parts.map(({ length }) => length));
    return Array.from({ length: height }, (_, n) => line(parts.map((part) => part[n] ?? ''))).join('\n');
  };
  return [wrapped(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(wrapped)].join('\n');
}

/** The width of each column: that of its widest cell, or less if the table is too wide and words can be wrapped. */
function fitting(lines: readonly (readonly string[])[], room: number): number[] {
  const [header = []] = lines;
  const widest = (widthOf: (cell: string) => number) =>
    header.map((_, column) => Math.max(...lines.map((cells) => widthOf(cells[column] ?? ''))));
  const widths = widest(stringWidth);
  const least = widest((cell) => Math.max(...cell.split(' ').map((word) => stringWidth(word))));
  const sum = widths.reduce((all, width) => all + width, GAP.length * (widths.length - 1));
  let excess = Math.max(0, sum - room);
  const bySlack = [...widths.keys()].sort((a, b) => widths[b]! - least[b]! - (widths[a]! - least[a]!));
  for (const column of bySlack) {
    const saved = Math.min(excess, widths[column]! - least[column]!);
    widths[column]! -= saved;
    excess -= saved;
  }
  return widths;
}

function wrappedTo(cell: string, width: number): string[] {
  return stringWidth(cell) <= width ? [cell] : wrapAnsi(cell, width).split('\n');
}

function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - stringWidth(text)));
}

/** Names and values, one pair on each line. A pair whose value is null is left out. */
export function fields(pairs: readonly (readonly [string, string | null])[]): string {
  const shown = pairs.filter(([, value]) => value !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

/** A point in time, to the second, in UTC. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** A duration in seconds as text: "0.35 s", "42 s", "3 min 20 s", "2 h 5 min". */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 1234567 as "1,234,567". */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}
