import { expect, test } from 'vitest';
import { findPendingWork } from '../../../src/service/pending-work.ts';
import { useTestDatabase } from '../../support/database.ts';

const database = useTestDatabase();

test('one query says for each chore whether work is pending', async () => {
  const nothing = {
    ...{ messages: false, alerts: false, failures: false },
    ...{ deltas: false, feed: false, retries: false },
  };
  expect(await findPendingWork(database.pool)).toEqual(nothing);
  const rows = {
    messages: `insert into dict.outbox (participant, key_type, sequence, type, payload, created_at)
               values ('12345678', 'CPF', 1, 'test', '{}', now())`,
    alerts: `insert into dict.outbox (destination, participant, key_type, sequence, type, payload, created_at)
             values ('ALERT', '12345678', 'CPF', 1, 'test', '{}', now())`,
    // Only the row matters here, not its run.
    failures: `alter table workflow.failures_to_log drop constraint failures_to_log_run_id_fkey;
               insert into workflow.failures_to_log (run_id, status) values (gen_random_uuid(), 'FAILED')`,
    deltas: `insert into dict.vsync_deltas values ('12345678', 'CPF', 1, 0, repeat('0', 256)::bit(256))`,
    feed: `with source as (
             insert into dict.feed_sources (name, source_view, apply_function, read_query, differing_query, unnamed_query)
             values ('bank', '', '', '', '', '') returning name)
           insert into dict.feed_queue (source, missed) select name, false from source`,
    retries: `with policy as (update dict.retry_policy set minutes = '{5}'),
                configured as (insert into dict.participants (participant) values ('12345678'))
              insert into dict.verifications
              values (gen_random_uuid(), '12345678', '{CPF}', workflow.now() - interval '1 hour',
                workflow.now() - interval '1 hour', 'INCOMPLETE', '{"CPF": {"result": "ERROR"}}')`,
  };
  const waits: Record<string, boolean> = { ...nothing };
  for (const [what, insert] of Object.entries(rows)) {
    await database.pool.query(insert);
    waits[what] = true;
    expect(await findPendingWork(database.pool)).toEqual(waits);
  }
  await database.pool.query('update dict.outbox set delivered_at = now()');
  expect(await findPendingWork(database.pool)).toEqual({ ...waits, messages: false, alerts: false });
});
