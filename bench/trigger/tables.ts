import type { Pool } from 'pg';
import { ENTRY_COLUMNS, loadEntries, withoutTriggers } from '../support/entries.ts';

/** The key base, and the same table (columns, checks, generated CID, indexes) without our triggers. */
export const OURS = 'dict.entries';
export const PLAIN = 'public.plain_entries';
export const TABLES = [OURS, PLAIN] as const;
export type Table = (typeof TABLES)[number];

/** The figures of both, measured alternately. */
export type Both = Record<Table, number[]>;

export function none(): Both {
  return { [OURS]: [], [PLAIN]: [] };
}

/** Fills both with the same entries. */
export async function fillBoth(pool: Pool, entries: number): Promise<void> {
  await loadEntries(pool, { CPF: entries });
  await pool.query(`create table ${PLAIN} (like ${OURS} including all)`);
  await pool.query(`insert into ${PLAIN} (${ENTRY_COLUMNS}) select ${ENTRY_COLUMNS} from ${OURS}`);
  await pool.query(`vacuum analyze ${PLAIN}`);
  // The same for both: the first write to a page after a checkpoint logs the whole page.
  await pool.query('checkpoint');
}

/** Empties both tables and what our triggers wrote, and begins a new checkpoint cycle. */
export async function emptyBoth(pool: Pool): Promise<void> {
  await withoutTriggers(pool, async (client) => {
    await client.query(
      `truncate ${TABLES.join()}, dict.cid_history, dict.cid_changes, dict.vsync_deltas, dict.vsync_buckets`,
    );
    await client.query('checkpoint');
  });
}
