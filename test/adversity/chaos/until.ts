import { vi } from 'vitest';

/** Waits until `look` returns true; fails with its last answer. Works in hooks, too. */
export async function until(look: () => unknown, timeout = 60_000, interval = 20): Promise<void> {
  await vi.waitFor(
    async () => {
      const seen = await look();
      if (seen !== true) throw new Error(`not yet: ${JSON.stringify(seen)}`);
    },
    { timeout, interval },
  );
}
