import type { Transport } from './transport.ts';

/** The channel that announces each delivered message. */
export const CHANNEL = 'dict_vsync';

/**
 * The default transport: a row in dict.notifications, announced by NOTIFY. Delivery is exactly once, as it is the same
 * database.
 */
export function postgresTransport(): Transport {
  return {
    name: 'postgres',
    deliver: async (messages, tx) => {
      // The announcement has no content: NOTIFY is limited to 8,000 bytes, and every session may listen.
      await tx.query(
        `with delivered as (
           insert into dict.notifications (id, participant, key_type, sequence, type, payload, created_at)
           select o.id, o.participant, o.key_type, o.sequence, o.type, m.body, o.created_at
           from unnest($1::uuid[], $2::jsonb[]) m (id, body) join dict.outbox o using (id)
           on conflict (id) do nothing
           returning id, participant, key_type, sequence, type)
         select pg_notify($3, json_build_object('id', id, 'participant', participant, 'keyType', key_type,
           'sequence', sequence, 'type', type)::text)
         from (select * from delivered order by sequence) d`,
        [messages.map(({ id }) => id), messages.map(({ body }) => body), CHANNEL],
      );
      return { delivered: messages.length };
    },
    close: async () => undefined,
  };
}
