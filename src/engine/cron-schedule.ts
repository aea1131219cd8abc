import type { Transaction } from './activity-contract.ts';
import { maybeOne, one } from '../errors/rows.ts';
import type { Connections } from './query-timeout.ts';
import { crashPoint } from './crash-points.ts';
import type { Schedule } from './crontab.ts';
import { inTransaction } from './transaction.ts';

/** What a tick of a schedule does, in the transaction that decides the tick. */
export type TickHandler = (tx: Transaction, tick: Date) => Promise<void>;

/** A missed tick that is older than this is skipped. */
export const CATCH_UP_MS = 12 * 3_600_000;

/** Registers new schedules. Their past ticks count as decided. */
export async function registerSchedules(pool: Connections, schedules: readonly Schedule[]): Promise<void> {
  await pool.query(
    `insert into workflow.schedules (name, last_tick) select name, workflow.now() from unnest($1::text[]) name
     on conflict (name) do nothing`,
    [schedules.map(({ name }) => name)],
  );
}

/**
 * Decides the due ticks and fires the newest if it is not too old. The others are recorded as SKIPPED. A tick fires
 * once, however many workers call this, because the row in workflow.schedules is locked. Returns the fired tick, if
 * any.
 */
export async function fireDueTicks(
  pool: Connections,
  schedule: Schedule,
  handler: TickHandler,
): Promise<Date | null> {
  return inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<{ last_tick: Date; now: Date }>(
      'select last_tick, workflow.now() as now from workflow.schedules where name = $1 for update',
      [schedule.name],
    );
    const state = maybeOne(rows);
    if (state === undefined) return null;
    const due = schedule.ticks(state.last_tick, state.now, 1000);
    if (due.length === 0) return null;
    const taken = await tx.query<{ tick: Date | null }>(
      `select workflow.take_tick($1, $2, $3 * interval '1 millisecond') as tick`,
      [schedule.name, due, CATCH_UP_MS],
    );
    const tick = one(taken.rows).tick;
    if (tick !== null) await handler(tx, tick);
    crashPoint('tick-before-commit');
    return tick;
  });
}
