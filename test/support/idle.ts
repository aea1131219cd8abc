import { expect, vi } from 'vitest';
import type { System } from './system.ts';

/** Waits until the workers have done all that is due by the workflows' clock, automatic retries too. */
export async function idle({ pool }: Pick<System, 'pool'>): Promise<void> {
  await vi.waitFor(
    async () => {
      const { rows } = await pool.query(
        `select from workflow.runs
         where closed_at is null and (claimed_by is not null or wake_at <= workflow.now())
         union all select from graphile_worker.jobs where run_at <= clock_timestamp()
         union all select where dict.retries_due()`,
      );
      expect(rows).toHaveLength(0);
    },
    { timeout: 30_000, interval: 10 },
  );
}
