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

/** The deadlines of the configured participants (Manual de Tempos do Pix: 36 hours), by participant and key type. */
export async function readDeadlines(db: Db): Promise<Deadline[]> {
  const { rows } = await db.query<Deadline>(
    `select participant, key_type as "keyType", last_ok_at as "lastOkAt", deadline_at as "deadlineAt", missed,
       alerted_at as "alertedAt"
     from dict.deadlines order by participant, key_type`,
  );
  return rows;
}
