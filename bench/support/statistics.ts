/** The median of the numbers; of an even count the mean of the two in the middle. NaN of an empty list. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The ratio of `a` to `b`. If both were measured alternately and equally often: the median of the pairs' ratios, so
 * that other load on the machine affects both. Otherwise: the ratio of the medians.
 */
export function ratioOf(a: readonly number[], b: readonly number[]): number {
  return a.length === b.length ? median(a.map((value, i) => value / b[i]!)) : median(a) / median(b);
}

/** Runs `work` and returns how long it took, in seconds. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
