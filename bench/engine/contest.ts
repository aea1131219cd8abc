/** What a contestant is asked to do, in a process of its own, against a database of its own on the one server. */
export interface Task {
  url: string;
  runs: number;
  /** Steps a run. */
  steps: number;
  /** How many runs at once. */
  atOnce: number;
  /** How many runs a call starts. */
  aCall: number;
  /** Runs before the clock starts. */
  warmUp: number;
}

/** What it took, from the first start to the last end made durable. */
export interface Took {
  seconds: number;
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

/** Warms up, then measures: `play(from, n)` takes `n` runs, numbered from `from` on, to their end. */
export async function timed(task: Task, play: (from: number, n: number) => Promise<unknown>): Promise<Took> {
  await play(0, task.warmUp);
  const began = performance.now();
  await play(task.warmUp, task.runs);
  return { seconds: (performance.now() - began) / 1000 };
}
