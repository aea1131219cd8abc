import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import type { KeyEventType } from '../../../src/dict/key-base/key-event.ts';
import { configureParticipants } from '../../../src/dict/vsync/vsync-store.ts';
import { createTestDatabase } from '../../support/database.ts';
import { onTestFinished } from 'vitest';

export { ISPB, keys, stored } from '../../unit/dict/entry/entries.ts';
import { ISPB } from '../../unit/dict/entry/entries.ts';

/** The n-th second of a day in the past. */
export function at(second: number): string {
  return new Date(Date.UTC(2026, 0, 2) + second * 1000).toISOString();
}

export interface CloudEvent {
  specversion: string;
  id: string;
  source: string;
  type: string;
  time: string;
  sequence?: string;
  data: Record<string, unknown>;
}

/** A key event as a core system publishes it. */
export function keyEvent(
  type: KeyEventType,
  entry: Entry,
  time: string,
  more: Partial<CloudEvent> = {},
): CloudEvent {
  const { participant, keyType, key } = entry;
  const data = type === 'key.deleted' ? { participant, keyType, key } : { ...entry };
  return { specversion: '1.0', id: randomUUID(), source: '/core', type, time, data, ...more };
}

export function bytes(event: unknown): Buffer {
  return Buffer.from(JSON.stringify(event));
}

/** A migrated database of the test's own that serves ISPB. */
export async function servingDatabase(): Promise<{ pool: Pool; url: string }> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await configureParticipants(database.pool, [ISPB]);
  return database;
}

/** The present keys, as "<key> <name>", sorted. */
export async function present(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ shown: string }>(
    `select key || ' ' || name as shown from dict.entries where removed_at is null order by key`,
  );
  return rows.map(({ shown }) => shown);
}

/** The rows of dict.key_events, as "<type> <outcome> <reason>", in the order received. */
export async function received(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ shown: string }>(
    `select concat_ws(' ', type, outcome, reason) as shown from dict.key_events order by received_at, event_time, id`,
  );
  return rows.map(({ shown }) => shown);
}
