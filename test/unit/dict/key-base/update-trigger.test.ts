import fc from 'fast-check';
import type { PoolClient } from 'pg';
import { expect, test } from 'vitest';
import { useTestDatabase } from '../../../support/database.ts';
import { forgetAll, onConnection } from '../entry/entries.ts';

const database = useTestDatabase();

/** The content of a row, or what it is changed to. */
interface Content {
  name: string;
  trade: string | null;
  opened: string | null;
  removed: string | null;
}

interface Change {
  before: Content;
  after: Content;
  renamed: boolean;
  why: string | null;
}

const content = fc.record({
  name: fc.constantFrom('A', 'B'),
  trade: fc.constantFrom(null, '', 'T'),
  opened: fc.constantFrom(null, '2020-01-01T00:00:00Z'),
  removed: fc.constantFrom(null, null, '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
});
const changes = fc.array(
  fc.record({
    before: content,
    after: content,
    renamed: fc.boolean(),
    why: fc.constantFrom(null, 'moved'),
  }),
  { minLength: 2, maxLength: 8 },
);

async function fill(client: PoolClient, all: readonly Change[]): Promise<void> {
  await client.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name,
       account_number, account_type, opening_date, removed_at)
     select '12345678', 'EMAIL', 'key ' || n, gen_random_uuid(), 'NATURAL_PERSON', '11122233300', name, trade, '1', 'CACC',
       opened::timestamptz, removed::timestamptz
     from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as v (name, trade, opened, removed, n)`,
    (['name', 'trade', 'opened', 'removed'] as const).map((field) => all.map(({ before }) => before[field])),
  );
  await client.query('delete from dict.vsync_deltas');
}

/** Changes these (their numbers are those of `fill`) by one statement; `says`: with the reasons. */
async function change(
  client: PoolClient,
  numbered: readonly [number, Change][],
  says: boolean,
): Promise<void> {
  const of = <T>(pick: (change: Change) => T) => numbered.map(([, one]) => pick(one));
  await client.query(
    `update dict.entries set key = v.key || case when v.renamed then ' anew' else '' end, name = v.name,
       trade_name = v.trade, opening_date = v.opened::timestamptz, removed_at = v.removed::timestamptz
       ${says ? ', changed_why = v.why' : ''}
     from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[])
       as v (key, name, trade, opened, removed, renamed, why)
     where entries.key = v.key`,
    [
      numbered.map(([n]) => `key ${n}`),
      of(({ after }) => after.name),
      of(({ after }) => after.trade),
      of(({ after }) => after.opened),
      of(({ after }) => after.removed),
      of(({ renamed }) => renamed),
      of(({ why }) => why),
    ],
  );
}

/** All that the changes leave behind, with times as what they are equal to. */
async function traces(client: PoolClient): Promise<unknown> {
  const deltas = await client.query(
    `select participant, key_type, bucket, sum(count)::integer as change, dict.hex(bit_xor(xor)) as xor
     from dict.vsync_parts group by 1, 2, 3
     having sum(count) <> 0 or bit_xor(xor) <> repeat('0', 256)::bit(256) order by 1, 2, 3`,
  );
  const log = await client.query(
    `select l.key, encode(l.cid, 'hex') as cid, l.request_id, came_at::text, l.came_xid::text, left_why,
       left_xid = pg_current_xact_id() as left_now, left_at > came_at as left_later, left_at = e.since as left_for_successor
     from dict.cid_log l left join dict.entries e on e.key = l.key order by l.key`,
  );
  const entries = await client.query(
    `select key, encode(cid, 'hex') as cid, removed_at::text, changed_why, changed_xid = pg_current_xact_id() as changed,
       came_xid = pg_current_xact_id() as came, since > transaction_timestamp() as since_now
     from dict.entries order by key`,
  );
  return { deltas: deltas.rows, log: log.rows, entries: entries.rows };
}

async function tracesOf(client: PoolClient, work: () => Promise<void>): Promise<unknown> {
  await client.query('begin');
  try {
    await work();
    return await traces(client);
  } finally {
    await client.query('rollback');
  }
}

test('keys changed one by one leave behind the same as when one statement changes them all', async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.boolean(), async (all, says) => {
      await forgetAll(database.pool);
      await onConnection(database.pool, async (client) => {
        await fill(client, all);
        const numbered = all.map((one, i): [number, Change] => [i + 1, one]);
        const together = await tracesOf(client, async () => change(client, numbered, says));
        const alone = await tracesOf(client, async () => {
          for (const one of numbered) await change(client, [one], says);
        });
        expect(alone).toEqual(together);
      });
    }),
    { seed: 20_260_107, numRuns: 60 },
  );
});

test('a large change uses no nested loops, whatever its session planned first, and restores the setting', async () => {
  await forgetAll(database.pool);
  await onConnection(database.pool, async (client) => {
    const fillMany = `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       select '12345678', 'EMAIL', 'key ' || i, gen_random_uuid(), 'NATURAL_PERSON', '11122233300', 'name', '1', 'CACC'
       from generate_series(1, 20000) i`;
    await client.query(fillMany);
    await client.query('begin');
    // Plans the joins, for the two rows of its first statement.
    await client.query(`update dict.entries set name = 'first' where key in ('key 1', 'key 2')`);
    // By nested loops 20,000 rows are joined in 98 s.
    await client.query(`set local statement_timeout = '20s'`);
    await client.query(`update dict.entries set name = 'all'`);
    const { rows } = await client.query<{ loops: string; left: number }>(
      `select current_setting('enable_nestloop') as loops, (select count(*)::integer from dict.cid_log) as left`,
    );
    expect(rows).toEqual([{ loops: 'on', left: 20_002 }]);
    await client.query('rollback');
  });
});
