import type { Pool } from 'pg';
import { CHANNEL } from '../transports/postgres-transport.ts';

/** Announcements can be lost with a connection, so the table is also queried at this interval. */
const LOOK_MS = 2000;
const PAGE = 500;

/** The next messages after the last known one of each stream, in the order of delivery. */
const NEXT = `
  select n.participant, n.key_type as "keyType", n.sequence, n.payload as event
  from dict.notifications n
  left join jsonb_to_recordset($1::jsonb) as k (participant text, "keyType" text, sequence bigint)
    on k.participant = n.participant and k."keyType" = n.key_type
  where n.sequence > coalesce(k.sequence, 0)
  order by n.delivered_at, n.participant, n.key_type, n.sequence limit ${PAGE}`;

interface Row {
  participant: string;
  keyType: string;
  sequence: string;
  event: unknown;
}

/**
 * Passes messages of dict.notifications to `take` as they arrive, in the order of each stream, until `stopping` fires.
 * With `fromStart` it begins with the messages that are already in the table. It does not remember its place.
 */
export async function readNotifications(
  pool: Pool,
  options: { fromStart: boolean; take(event: unknown): void },
  stopping: AbortSignal,
): Promise<void> {
  const client = await pool.connect();
  let wake = Promise.withResolvers<void>();
  const wakeUp = () => wake.resolve();
  client.on('notification', wakeUp);
  stopping.addEventListener('abort', wakeUp);
  try {
    // LISTEN comes first, so that messages delivered before the query are announced.
    await client.query(`listen ${CHANNEL}`);
    const known = new Map<string, Omit<Row, 'event'>>();
    const see = (row: Omit<Row, 'event'>) => known.set(`${row.participant} ${row.keyType}`, row);
    if (!options.fromStart) {
      const { rows } = await client.query<Omit<Row, 'event'>>(
        `select participant, key_type as "keyType", max(sequence) as sequence from dict.notifications group by 1, 2`,
      );
      rows.forEach(see);
    }
    while (!stopping.aborted) {
      const place = [...known.values()].map(({ participant, keyType, sequence }) => ({
        participant,
        keyType,
        sequence,
      }));
      const { rows } = await client.query<Row>(NEXT, [JSON.stringify(place)]);
      for (const row of rows) {
        if (stopping.aborted) return;
        see(row);
        options.take(row.event);
      }
      if (rows.length === PAGE) continue;
      const timer = setTimeout(wakeUp, LOOK_MS);
      await wake.promise;
      clearTimeout(timer);
      wake = Promise.withResolvers();
    }
  } finally {
    stopping.removeEventListener('abort', wakeUp);
    // The connection still listens, so it is not reused.
    client.release(true);
  }
}
