import type { Pool } from 'pg';

/** Lets the workflows' clock, and the timers with it, go on by an interval: `31 seconds`. */
export async function advanceClock(pool: Pool, by: string): Promise<void> {
  await pool.query('select workflow.advance_clock($1)', [by]);
}
