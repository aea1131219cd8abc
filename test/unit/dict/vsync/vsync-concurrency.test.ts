import type { PoolClient } from 'pg';
import { expect, test } from 'vitest';
import { createPool } from '../../../../src/database/pool.ts';
import { readVSync } from '../../../../src/dict/vsync/vsync-store.ts';
import { Random } from '../../../../src/simulator/random.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, insert, keptVSyncs, keys, naiveVSyncs, onConnection } from '../entry/entries.ts';

const database = useTestDatabase();

const WRITERS = 8;
const TRANSACTIONS = 20;
const KEYS = 20;

const IMPORT = `
  insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
  select '${ISPB}', 'EVP', i::text, gen_random_uuid(), 'NATURAL_PERSON', '11122233300', 'Imported', '1', 'CACC'
  from generate_series(1, 50000) i`;

const CHANGES = [
  "update dict.entries set name = name || '!' where key_type = 'EMAIL' and key = $1",
  "update dict.entries set opening_date = clock_timestamp() where key_type = 'EMAIL' and key = $1",
  "update dict.entries set removed_at = case when removed_at is null then now() end where key_type = 'EMAIL' and key = $1",
  "delete from dict.entries where key_type = 'EMAIL' and key = $1",
  `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
   values ('${ISPB}', 'EMAIL', $1, gen_random_uuid(), 'NATURAL_PERSON', '11122233300', 'Back', '1', 'CACC')
   on conflict (participant, key_type, key) do update set request_id = excluded.request_id, removed_at = null`,
];

/** Transactions that change all of the writer's own keys, each time in another order and by another kind of change. */
async function write(client: PoolClient, own: string[], random: Random): Promise<void> {
  await client.query("set lock_timeout = '2s'");
  for (let n = 0; n < TRANSACTIONS; n++) {
    await client.query('begin');
    for (const key of random.shuffle([...own])) {
      await client.query(random.pick(CHANGES), [key]);
    }
    await client.query(random.chance(0.1) ? 'rollback' : 'commit');
  }
}

test('8 writers, each changing 20 keys in any order, wait neither for each other nor for an open import, nor a fold', async () => {
  const pool = createPool(database.url, { max: WRITERS + 3 });
  const entries = keys('EMAIL', WRITERS * KEYS);
  await insert(pool, entries);
  await onConnection(pool, async (importer) => {
    await importer.query('begin');
    await importer.query(IMPORT);
    await onConnection(pool, async (folder) => {
      let writing = true;
      const folding = (async () => {
        let folded = 0;
        while (writing) {
          const { rows } = await folder.query<{ n: number }>('select dict.fold_vsync_deltas(50) as n');
          folded += rows[0]!.n;
        }
        return folded;
      })();
      // The import stays open until they are done: a writer that waited for it would exceed its lock_timeout.
      await Promise.all(
        Array.from({ length: WRITERS }, (_, n) =>
          onConnection(pool, async (client) =>
            write(
              client,
              entries.slice(n * KEYS, (n + 1) * KEYS).map(({ key }) => key),
              new Random(n, 'writer'),
            ),
          ),
        ),
      ).finally(() => {
        writing = false;
      });
      expect(await folding).toBeGreaterThan(50);

      expect((await readVSync(pool, ISPB, 'EVP')).entries).toBe(0);
      await folder.query("begin; set local lock_timeout = '2s'");
      await folder.query('select dict.fold_vsync_deltas(50)');
      await insert(pool, keys('CPF', 20));
      await importer.query('commit');
      await folder.query('commit');
    });
  });
  expect(await readVSync(pool, ISPB, 'EVP')).toMatchObject({ entries: 50_000 });
  const naive = await naiveVSyncs(pool);
  expect(await keptVSyncs(pool)).toEqual(naive);
  await pool.query('select dict.fold_vsync_deltas(1000000)');
  expect(await keptVSyncs(pool)).toEqual(naive);
  await pool.end();
});
