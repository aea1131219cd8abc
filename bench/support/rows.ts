import { median, ratioOf } from './statistics.ts';

export type Unit = 's' | 'ms' | 'MB' | '/s' | '';

/** One line of a benchmark's table: what ours took, what the other took, their ratio, the target. */
export interface Row {
  what: string;
  unit: Unit;
  /** Median of `runs.ours`. */
  ours: number;
  /** What ours is compared with; null when it is compared with a target only. */
  against: string | null;
  /** Median of `runs.theirs`. */
  theirs: number | null;
  ratio: number | null;
  /** For people, e.g. "≤ 1.2×"; null when the row is for information only. */
  target: string | null;
  held: boolean | null;
  /** The figure of each round, in order. */
  runs: { ours: number[]; theirs: number[] };
}

interface Measured {
  what: string;
  unit: Unit;
  ours: readonly number[];
}

interface Compared extends Measured {
  against: string;
  theirs: readonly number[];
}

/** Ours beside another: ours/theirs, which should be at most `most` or at least `least`, if given. */
export function against(row: Compared, target: { most?: number; least?: number } = {}): Row {
  const ratio = ratioOf(row.ours, row.theirs);
  const { most, least } = target;
  return {
    ...base(row),
    against: row.against,
    theirs: round(median(row.theirs)),
    ratio: round(ratio),
    target: most !== undefined ? `≤ ${most}×` : least !== undefined ? `≥ ${least}×` : null,
    held: most !== undefined ? ratio <= most : least !== undefined ? ratio >= least : null,
    runs: { ours: row.ours.map(round), theirs: row.theirs.map(round) },
  };
}

/** Ours, which should be `times` as fast as another; the ratio is theirs/ours. */
export function faster(row: Compared, times?: number): Row {
  const ratio = ratioOf(row.theirs, row.ours);
  return {
    ...against(row),
    ratio: round(ratio),
    target: times === undefined ? null : `≥ ${times}× faster`,
    held: times === undefined ? null : ratio >= times,
  };
}

/** Ours alone, which should be at most `most`, if given. */
export function alone(row: Measured, most?: number): Row {
  const value = median(row.ours);
  return {
    ...base(row),
    target: most === undefined ? null : `≤ ${most} ${row.unit}`.trimEnd(),
    held: most === undefined ? null : value <= most,
  };
}

function base({ what, unit, ours }: Measured): Row {
  return {
    what,
    unit,
    ours: round(median(ours)),
    against: null,
    theirs: null,
    ratio: null,
    target: null,
    held: null,
    runs: { ours: ours.map(round), theirs: [] },
  };
}

/** Rounded to four significant digits: more would be noise. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
