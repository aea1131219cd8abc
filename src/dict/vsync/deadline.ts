import type { KeyType } from '../entry/key-type.ts';
import type { Db } from './vsync-store.ts';

/** The time by which the next OK of a configured participant and key type must arrive. */
export interface Deadline {
  participant: string;
  keyType: KeyType;
  /** Null if there was never an OK; then the deadline counts from when the participant was configured. */
  lastOkAt: Date | null;
  deadlineAt: Date;
  missed: boolean;
  /** When sync.deadline_missed was raised for it. */
  alertedAt: Date | null;
}

const READ = `
  select participant, key_type as "keyType", last_ok_at as "lastOkAt", deadline_at as "deadlineAt", missed,
    alerted_at as "alertedAt"
  from dict.deadlines`;

/** The deadlines of the configured participants, by participant and key type. */
export async function readDeadlines(db: Db): Promise<Deadline[]> {
  const { rows } = await db.query<Deadline>(`${READ} order by participant, key_type`);
  return rows;
}

/** The deadlines that are missed. */
export async function readMissedDeadlines(db: Db): Promise<Deadline[]> {
  const { rows } = await db.query<Deadline>(`${READ} where missed order by participant, key_type`);
  return rows;
}

/** Stores SYNC_DEADLINE_HOURS in the database, where the views read it. */
export async function configureDeadline(db: Db, hours: number): Promise<void> {
  await db.query('update dict.sync_deadline set hours = $1', [hours]);
}

/**
 * Raises `sync.deadline_missed` for each configured participant and key type without an OK within `hours` (Manual de
 * Tempos do Pix: 36). It raises each breach once, even if several workers check. Returns what it raised.
 */
export async function checkDeadlines(
  db: Db,
  hours: number,
): Promise<{ participant: string; keyType: KeyType; deadlineAt: Date }[]> {
  const { rows } = await db.query<{ participant: string; keyType: KeyType; deadlineAt: Date }>(
    `select participant, key_type as "keyType", deadline_at as "deadlineAt" from dict.check_deadlines($1)`,
    [hours],
  );
  return rows;
}
