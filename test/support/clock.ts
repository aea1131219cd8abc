import type { Pool } from 'pg';

/** Moves the workflows' clock and its timers forward by an interval: `31 seconds`. */
export async function advanceClock(pool: Pool, by: string): Promise<void> {
  await pool.query('select workflow.advance_clock($1)', [by]);
}
