import type { Way } from './way.ts';

/** The channel that announces each delivered message. */
export const CHANNEL = 'dict_vsync';

/** The default way out: a row in dict.notifications, announced by NOTIFY. Delivered exactly once: it is one database. */
export function postgresWay(): Way {
  return {
    name: 'postgres',
    deliver: async (messages, tx) => {
      // The announcement holds no content: NOTIFY is limited to 8,000 bytes, and every session may listen.
      await tx.query(
        `with delivered as (
           insert into dict.notifications (id, participant, key_type, sequence, type, payload, created_at)
           select id, participant, key_type, sequence, type, payload, created_at from dict.outbox where id = any ($1)
           on conflict (id) do nothing
           returning id, participant, key_type, sequence, type)
         select pg_notify($2, json_build_object('id', id, 'participant', participant, 'keyType', key_type,
           'sequence', sequence, 'type', type)::text)
         from (select * from delivered order by participant, key_type, sequence) d`,
        [messages.map(({ id }) => id), CHANNEL],
      );
    },
    close: async () => undefined,
  };
}
