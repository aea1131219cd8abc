/** What a contestant must do, in a process of its own, against a database of its own on the shared server. */
export interface Task {
  url: string;
  runs: number;
  /** Steps per run. */
  steps: number;
  /** How many runs work simultaneously. */
  atOnce: number;
  /** How many runs one call starts. */
  aCall: number;
  /** Runs before the clock starts. */
  warmUp: number;
}

/** What it took, from the first start to the last committed end. */
export interface Took {
  seconds: number;
  /** The part of it from the beginning of each run's first step to the end of its last, summed over the runs. */
  stepping: number;
}

/** Sums what runs that execute one at a time take from the beginning of their first step to the end of their last. */
export class Stopwatch {
  #began = 0;
  seconds = 0;

  begin(): void {
    this.#began = performance.now();
  }

  end(): void {
    this.seconds += (performance.now() - this.#began) / 1000;
  }
}

/** Calls `work` with 0 … n-1, `atOnce` at a time. */
export async function atOnce(n: number, width: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < n) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, n) }, lane));
}

/** Calls `work` with 0 … n-1 in groups of `size`, `width` groups at a time. */
export async function inGroups(
  n: number,
  size: number,
  width: number,
  work: (group: number[]) => Promise<unknown>,
): Promise<void> {
  await atOnce(Math.ceil(n / size), width, async (group) =>
    work(Array.from({ length: Math.min(size, n - group * size) }, (_, i) => group * size + i)),
  );
}

/** Warms up, then measures. `play(from, n)` executes `n` runs, numbered from `from` on, to their end. */
export async function timed(
  task: Task,
  stopwatch: Stopwatch,
  play: (from: number, n: number) => Promise<unknown>,
): Promise<Took> {
  await play(0, task.warmUp);
  stopwatch.seconds = 0;
  const began = performance.now();
  await play(task.warmUp, task.runs);
  return { seconds: (performance.now() - began) / 1000, stepping: stopwatch.seconds };
}
