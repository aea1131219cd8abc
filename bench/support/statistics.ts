/** The middle of the numbers; of an even count the mean of the two in the middle. NaN of none. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * How many times `a` is of `b`. Measured alternately and as often: the median of the pairs' ratios, so that what else
 * the machine does meanwhile falls on both; else the ratio of the medians.
 */
export function ratioOf(a: readonly number[], b: readonly number[]): number {
  return a.length === b.length ? median(a.map((value, i) => value / b[i]!)) : median(a) / median(b);
}

/** Runs `work` and answers how long it took, in seconds. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
