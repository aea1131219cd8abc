import { setTimeout as delay } from 'node:timers/promises';
import { DvError } from '../../errors/dv-error.ts';
import type { Subscription, SubscriptionOptions } from './subscription.ts';

const PAUSE_MS = [500, 1000, 2000, 5000, 10_000];

/** Consumes until it is closed. When `consume` ends with an error, it is started again after a pause. */
export function keepSubscribed(
  options: SubscriptionOptions,
  consume: (stopping: AbortSignal) => Promise<void>,
): Subscription {
  const stopping = new AbortController();
  const keep = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      const began = performance.now();
      try {
        await consume(stopping.signal);
      } catch (error) {
        if (stopping.signal.aborted) return;
        options.onConnection?.(error instanceof DvError ? error.code : 'unknown');
      }
      if (performance.now() - began > 60_000) failures = 0;
      const pause = PAUSE_MS[Math.min(failures, PAUSE_MS.length - 1)];
      await delay(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const ended = keep();
  return {
    close: async () => {
      stopping.abort();
      await ended;
    },
  };
}
