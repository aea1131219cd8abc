import { expect } from 'vitest';
import type { Bank } from './bank.ts';

/** What happens to a worker that has reached a crash point. */
export const MODES = {
  /** The process dies. */
  SIGKILL: killed,
  /** It dies, and Graphile Worker takes this for the job's last attempt. */
  'SIGKILL on the last attempt': async (bank: Bank, point: string) => {
    await bank.everyJobIsOnItsLastAttempt(true);
    try {
      await killed(bank, point);
    } finally {
      await bank.everyJobIsOnItsLastAttempt(false);
    }
  },
  /** Its Postgres crashes and restarts. */
  'immediate restart of Postgres': async (bank: Bank, point: string) => {
    const worker = bank.worker(`stop:${point}`);
    await worker.reached(point);
    await bank.restartPostgres();
    worker.signal('SIGCONT');
    await bank.untilQuiet();
  },
  /** Its next commit is committed, but it never receives the answer. */
  'lost answers to COMMIT': async (bank: Bank, point: string) => {
    const worker = bank.worker(`stop:${point}`);
    await worker.reached(point);
    const before = bank.proxy.lost();
    bank.proxy.loseCommitAnswers();
    worker.signal('SIGCONT');
    await expect.poll(() => bank.proxy.lost(), { timeout: 20_000 }).toBeGreaterThan(before);
    await bank.untilQuiet();
  },
  /** It freezes past its lease, another worker does its work, and it continues. */
  'SIGSTOP past the lease, then SIGCONT': async (bank: Bank, point: string) => {
    const zombie = bank.worker(`stop:${point}`);
    await zombie.reached(point);
    await bank.expireLeases();
    const other = bank.worker();
    await other.ready();
    await bank.untilQuiet();
    zombie.signal('SIGCONT');
    await bank.untilQuiet();
  },
} as const;

export type Mode = keyof typeof MODES;

async function killed(bank: Bank, point: string): Promise<void> {
  const worker = bank.worker(`kill:${point}`);
  await worker.reached(point);
  expect(await worker.gone()).toBe('SIGKILL');
  await bank.expireLeases();
  bank.worker();
  await bank.untilQuiet();
}

/** Breaks one workload at a crash point in one mode: it recovers by itself, and every invariant is true afterwards. */
export async function breakAt(bank: Bank, point: string, mode: Mode): Promise<void> {
  try {
    await bank.workload(point);
    await MODES[mode](bank, point);
    await bank.stopWorkers();
    await bank.inspect();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const log = bank.log().slice(-6000);
    // The next workload begins without what this one left running.
    await bank.killWorkers();
    throw new Error(`${point}, ${mode}: ${why}\n${log}`, { cause: error });
  }
}
