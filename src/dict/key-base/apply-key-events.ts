import { DvError } from '../../errors/dv-error.ts';
import { maybeOne, one } from '../../errors/rows.ts';
import type { KeyEvent } from './key-event.ts';
import type { Db } from '../vsync/vsync-store.ts';

/**
 * The outcome of an event. OLDER: a newer event of its key was already applied. REFUSED: recorded with its reason in
 * dict.key_events. DUPLICATE: an event with its source and id was already received.
 */
export type KeyEventOutcome = 'APPLIED' | 'OLDER' | 'REFUSED' | 'DUPLICATE';

/** Applies events in one transaction; the outcomes are in the order of the events. */
export async function applyKeyEvents(db: Db, events: readonly KeyEvent[]): Promise<KeyEventOutcome[]> {
  // Sorted by key, with the events of one key in their order, so that two workers, or a worker and a repair, cannot
  // deadlock.
  const places = events.map((_, place) => place).sort((a, b) => compare(events[a]!, events[b]!) || a - b);
  const { rows } = await db.query<{ outcome: KeyEventOutcome }>(
    `select dict.apply_key_event(event) as outcome from jsonb_array_elements($1::jsonb) with ordinality e (event, place)
     order by place`,
    [JSON.stringify(places.map((place) => events[place]))],
  );
  const outcomes: KeyEventOutcome[] = [];
  places.forEach((place, row) => (outcomes[place] = rows[row]!.outcome));
  return outcomes;
}

function compare(a: KeyEvent, b: KeyEvent): number {
  return order(a.participant, b.participant) || order(a.keyType, b.keyType) || order(a.key, b.key);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Refuses key events for a participant whose own tables feed the key base: DV_KEY_EVENTS_CONNECTED. */
export async function refuseConnected(db: Db, participants: readonly string[]): Promise<void> {
  const { rows } = await db.query<{ participant: string }>(
    'select p as participant from unnest($1::text[]) p where dict.source_of(p) is not null limit 1',
    [participants],
  );
  const connected = maybeOne(rows);
  if (connected === undefined) return;
  throw new DvError(
    'DV_KEY_EVENTS_CONNECTED',
    `The keys of participant ${connected.participant} already come from its own tables (\`dict-vsync connect list\`). Disconnect these, or unset KEY_EVENTS_URL.`,
  );
}

/** Deletes received events older than `days`; returns how many. */
export async function forgetKeyEvents(db: Db, days: number, batch = 10_000): Promise<number> {
  let forgotten = 0;
  for (;;) {
    const { rows } = await db.query<{ n: number }>('select dict.forget_key_events($1, $2) as n', [
      days,
      batch,
    ]);
    const n = one(rows).n;
    forgotten += n;
    if (n < batch) return forgotten;
  }
}

/** A key event that was refused and still matters. */
export interface KeyEventReject {
  source: string;
  id: string;
  type: string;
  participant: string;
  keyType: string;
  key: string;
  /** Codes, comma-separated: REQUEST_ID_MISSING. */
  reason: string;
  receivedAt: Date;
}

/** The refused events that still matter, oldest first, at most `limit`. */
export async function readKeyEventRejects(db: Db, limit: number): Promise<KeyEventReject[]> {
  const { rows } = await db.query<KeyEventReject>(
    `select source, id, type, participant, key_type as "keyType", key, reason, received_at as "receivedAt"
     from dict.key_event_rejects order by received_at, source, id limit $1`,
    [limit],
  );
  return rows;
}
