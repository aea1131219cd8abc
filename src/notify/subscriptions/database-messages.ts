import type { Pool } from 'pg';
import { CHANNEL } from '../transports/postgres-transport.ts';

/** Announcements can be lost with a connection; then a look now and then finds what came. */
const LOOK_MS = 2000;
const PAGE = 500;

/** The next messages after the last known of each stream, in the order they were delivered. */
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
 * Hands over the messages of dict.notifications as they come, with `fromStart` those that are there first, in order of
 * each stream, until `stopping` fires. For a listener that keeps no place of its own.
 */
export async function hearDatabase(
  pool: Pool,
  options: { fromStart: boolean; take(event: unknown): void },
  stopping: AbortSignal,
): Promise<void> {
  const client = await pool.connect();
  let wake = Promise.withResolvers<void>();
  const rouse = () => wake.resolve();
  client.on('notification', rouse);
  stopping.addEventListener('abort', rouse);
  try {
    // Listen first: what is delivered between the two is announced.
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
      const timer = setTimeout(rouse, LOOK_MS);
      await wake.promise;
      clearTimeout(timer);
      wake = Promise.withResolvers();
    }
  } finally {
    stopping.removeEventListener('abort', rouse);
    // It still listens.
    client.release(true);
  }
}
