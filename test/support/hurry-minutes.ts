import { onTestFinished, vi } from 'vitest';

/** Makes the chores of each minute run every 50 ms, until the test ends. Returns the delays that were asked for. */
export function hurryMinutes(): number[] {
  const asked: number[] = [];
  const real = globalThis.setTimeout;
  const spy = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((
    act: (...rest: unknown[]) => void,
    ms = 0,
    ...rest: unknown[]
  ) => {
    asked.push(ms);
    return real(act, ms === 60_000 ? 50 : ms, ...rest);
  }) as typeof setTimeout);
  onTestFinished(() => spy.mockRestore());
  return asked;
}
