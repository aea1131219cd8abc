import type { PoolClient } from 'pg';
import { expect, test, vi } from 'vitest';
import { createPool } from '../../../src/database/pool.ts';
import { Random } from '../../../src/simulator/random.ts';
import { onConnection } from '../../unit/dict/entry/entries.ts';
import { divergences } from '../../support/inspect.ts';
import { startSystem } from '../../support/system.ts';
import {
  bank,
  bankRows,
  baseRows,
  connect,
  expectFed,
  keys,
  oneTable,
  rejects,
  feedOnce,
  feedAll,
  threeTables,
  transaction,
} from './support.ts';

const OF_FIRST_KEY = `(select pix_key from core.keys order by 1 limit 1)`;

test('of two transactions that change one key in two tables neither waits, and both changes arrive', async () => {
  const pool = await bank(threeTables, 4);
  const first = await transaction(pool);
  const second = await transaction(pool);
  await second.client.query(`set local lock_timeout = '300ms'`);
  await first.client.query(
    `update core.accounts set number = '77' where id = (select account_id from core.keys where pix_key = ${OF_FIRST_KEY})`,
  );
  await second.client.query(
    `update core.owners set full_name = 'Nova' where id = (select owner_id from core.keys where pix_key = ${OF_FIRST_KEY})`,
  );
  await first.end('commit');
  await second.end('commit');
  expect((await pool.query('select from dict.feed_queue where missed')).rowCount).toBe(1);
  await feedAll(pool);
  await expectFed(pool, threeTables, 4);
  expect(await bankRows(pool, threeTables)).toContainEqual(
    expect.objectContaining({ name: 'Nova', account_number: '77' }),
  );
});

test.each(['the key first', 'the owner first'])(
  'a key that comes while its owner changes arrives whole although neither sees the other: %s',
  async (order) => {
    const pool = await bank(threeTables, 2);
    const [entry] = keys('CPF', 1);
    await threeTables.write(pool, [entry!]);
    await pool.query(`delete from core.keys where kind = 'CPF'`);
    const adds = await transaction(pool);
    const changes = await transaction(pool);
    await threeTables.write(adds.client, [entry!]);
    await changes.client.query(`update core.owners set full_name = 'Nova' where document = $1`, [
      entry!.taxIdNumber,
    ]);
    const [one, other] = order === 'the key first' ? [adds, changes] : [changes, adds];
    await one.end('commit');
    // While the other transaction is open, its changes may be invisible.
    await feedOnce(pool);
    await other.end('commit');
    await feedAll(pool);
    await expectFed(pool, threeTables, 3);
    expect(await bankRows(pool, threeTables)).toContainEqual(
      expect.objectContaining({ name: 'Nova', key: entry!.key }),
    );
  },
);

test('a writer in REPEATABLE READ succeeds, and its change arrives', async () => {
  const pool = await bank(threeTables, 3);
  const { client, end } = await transaction(pool, 'begin isolation level repeatable read');
  await client.query('select from core.keys');
  await pool.query(`update core.accounts set number = '1' || number`);
  await client.query(`update core.owners set full_name = 'Repetida'`);
  await end('commit');
  await feedAll(pool);
  await expectFed(pool, threeTables, 3);
});

test('two transactions that register the same new key do not wait for each other in the feed', async () => {
  const pool = await bank(oneTable, 0);
  await pool.query('alter table bank.pix_keys drop constraint pix_keys_pkey');
  const [entry] = keys('EVP', 1);
  const first = await transaction(pool);
  const second = await transaction(pool);
  await second.client.query(`set local lock_timeout = '300ms'`);
  await oneTable.write(first.client, [entry!]);
  await oneTable.write(second.client, [{ ...entry!, name: 'Outra' }]);
  await second.end('commit');
  await first.end('rollback');
  await feedAll(pool);
  await expectFed(pool, oneTable, 1);
});

/** Each writer changes rows of one table only, so that the bank itself makes none of them wait for another. */
const WRITERS: ((client: PoolClient, random: Random) => Promise<unknown>)[] = [
  async (client, random) =>
    client.query(`update core.owners set full_name = 'Nome ' || chr(65 + $1) where id % 7 = $2`, [
      random.below(26),
      random.below(7),
    ]),
  async (client, random) =>
    client.query(`update core.accounts set number = $1 || id where id % 5 = $2`, [
      String(random.below(90) + 10),
      random.below(5),
    ]),
  async (client, random) => {
    const nth = random.below(40);
    if (random.chance(0.3)) return client.query('delete from core.keys where account_id % 40 = $1', [nth]);
    if (random.chance(0.2))
      return client.query('update core.keys set request_id = null where account_id = $1', [nth + 1]);
    return client.query(
      `insert into core.keys select '12345678', 'EMAIL', 'k' || a.id || '@example.com', md5(a.id::text)::uuid, a.id, o.id
       from core.accounts a join core.owners o on o.id = a.id where a.id % 40 = $1
       on conflict (kind, pix_key) do update set request_id = excluded.request_id`,
      [nth],
    );
  },
];

test.each([1, 2, 3])(
  'simultaneous writers of the three tables and a load never wait, and everything arrives (seed %i)',
  async (seed) => {
    const pool = await bank(threeTables, 60);
    // With foreign keys the bank's own writers wait for each other.
    await pool.query(
      'alter table core.keys drop constraint keys_account_id_fkey, drop constraint keys_owner_id_fkey',
    );
    const many = createPool((pool.options as { connectionString: string }).connectionString, { max: 8 });
    let writing = true;
    const loading = onConnection(many, async (client) => {
      while (writing) await client.query(`select dict.load_source('core')`);
    });
    const settling = onConnection(many, async (client) => {
      while (writing) await client.query('select dict.process_feed_queue(50)');
    });
    await Promise.all(
      WRITERS.map(async (write, n) =>
        onConnection(many, async (client) => {
          const random = new Random(seed, 'writer', String(n));
          await client.query(`set lock_timeout = '2s'`);
          for (let i = 0; i < 25; i++) {
            await client.query('begin');
            for (let j = random.below(4); j >= 0; j--) await write(client, random);
            await client.query(random.chance(0.2) ? 'rollback' : 'commit');
          }
        }),
      ),
    ).finally(() => {
      writing = false;
    });
    await Promise.all([loading, settling]);
    await feedAll(pool);
    const unusable = (await rejects(pool)).map((reject) => reject.split(' ')[2]);
    const shown = (await bankRows(pool, threeTables)) as { key: string; request_id: string | null }[];
    expect(unusable.toSorted((a, b) => (a! < b! ? -1 : 1))).toEqual(
      shown.flatMap(({ key, request_id }) => (request_id === null ? [key] : [])).sort(),
    );
    expect(await baseRows(pool)).toEqual(shown.filter(({ request_id }) => request_id !== null));
    await many.end();
  },
);

test.each([
  ['changes', true],
  ['registers', false],
])('when the bank %s a key while the repair writes it, the repair yields', async (_, present) => {
  const system = await startSystem({ local: () => [] });
  const [entry, ...others] = system.entries;
  const own = { ...entry!, name: 'Do Banco' };
  await connect(system.pool, oneTable, present ? [{ ...entry!, name: 'Antiga' }, ...others] : others);
  await system.pool.query(`
    create table bank.gate (open boolean not null);
    insert into bank.gate values (false);
    create sequence bank.reached;
    alter function bank.apply_dict(text, jsonb, jsonb) rename to apply_at_last;
    create function bank.apply_dict(action text, entry jsonb, before jsonb) returns void language plpgsql as $$
    begin
      perform nextval('bank.reached');
      while not (select open from bank.gate) loop perform pg_sleep(0.01); end loop;
      perform bank.apply_at_last(action, entry, before);
    end $$`);
  const run = await system.reconcile();
  await vi.waitFor(async () => {
    const { rows } = await system.pool.query<{ is_called: boolean }>('select is_called from bank.reached');
    expect(rows).toEqual([{ is_called: true }]);
  }, 10_000);
  if (present)
    await system.pool.query(`update bank.pix_keys set full_name = $1 where pix_key = $2`, [
      own.name,
      own.key,
    ]);
  else await oneTable.write(system.pool, [own]);
  await system.pool.query('update bank.gate set open = true');
  await vi.waitFor(async () => {
    const { rows } = await system.pool.query<{ code: string }>(
      `select error ->> 'code' as code from workflow.history where run_id = $1 and error is not null`,
      [run],
    );
    expect(rows[0]).toEqual({ code: 'DV_SOURCE_BUSY' });
  }, 10_000);
  await vi.waitFor(async () => {
    const found = (await divergences(system.pool, run)).filter(
      ({ round, side }) => round === 1 && side === 'DICT_ONLY',
    );
    expect(found.map(({ decision }) => decision)).toEqual(['IN_FLIGHT']);
  }, 10_000);
});
