import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Pool, PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { recalculateVSync } from '../../src/dict/vsync/vsync-store.ts';

export const PARTICIPANT = '12345678';

const LOADERS = 2;

export const ENTRY_COLUMNS =
  'participant, key_type, key, request_id, owner_type, tax_id_number, name, branch, account_number, account_type';

/**
 * SELECT of generated entries of one key type, numbered from `first` to `last`; their key is the number in 11 digits.
 */
export function madeEntries(keyType: string, first: number, last: number): string {
  return `select '${PARTICIPANT}', '${keyType}', lpad(i::text, 11, '0'),
    ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'NATURAL_PERSON', lpad(i::text, 11, '0'),
    'Maria Aparecida da Silva ' || i % 1000, '0001', lpad(i::text, 10, '0'), 'CACC' from generate_series(${first}, ${last}) i`;
}

/**
 * Fills the real table with `count` entries per key type, fast: triggers are off and the index on CIDs is built
 * afterwards. Then the VSyncs are computed from the entries, as after a restore.
 */
export async function loadEntries(pool: Pool, counts: Partial<Record<KeyType, number>>): Promise<void> {
  const { rows } = await pool.query<{ indexdef: string }>(
    "select indexdef from pg_indexes where schemaname = 'dict' and indexname = 'entries_cid'",
  );
  await pool.query('drop index dict.entries_cid');
  for (const [keyType, count = 0] of Object.entries(counts)) {
    const share = Math.ceil(count / LOADERS);
    await Promise.all(
      Array.from({ length: LOADERS }, async (_, loader) =>
        withoutTriggers(pool, async (client) => {
          const last = Math.min(count, (loader + 1) * share);
          await client.query(
            `insert into dict.entries (${ENTRY_COLUMNS}) ${madeEntries(keyType, loader * share + 1, last)}`,
          );
        }),
      ),
    );
  }
  await pool.query(rows[0]!.indexdef);
  await pool.query('vacuum analyze dict.entries');
  for (const keyType of Object.keys(counts)) await recalculateVSync(pool, PARTICIPANT, keyType as KeyType);
  await pool.query('select dict.fold_vsync_deltas(1000000)');
  await pool.query('vacuum analyze dict.vsync_deltas, dict.vsync_buckets');
  // Writes what was loaded to disk now, not during a measurement.
  await pool.query('checkpoint');
}

/** Works on a connection on which no trigger fires. */
export async function withoutTriggers<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('set session_replication_role = replica');
    return await work(client);
  } finally {
    client.release(true);
  }
}

/**
 * Writes the CID file that DICT would make of these entries, unordered, but with half of `differences` CIDs left out
 * and the same number of others in their place.
 */
export async function writeCidFile(
  pool: Pool,
  base: { keyType: KeyType; entries: number },
  differences: number,
  path: string,
): Promise<void> {
  const half = Math.floor(differences / 2);
  const gone = Array.from({ length: half }, (_, i) =>
    String(Math.ceil(((i + 1) * base.entries) / (half + 1))).padStart(11, '0'),
  );
  const client = await pool.connect();
  try {
    // The index would give them in order.
    await client.query(
      'set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off',
    );
    const lines = client.query(
      copyTo(`copy (
        select encode(cid, 'hex') from dict.entries where participant = '${PARTICIPANT}' and key_type = '${base.keyType}'
          and removed_at is null and key <> all ('{${gone.join()}}')
        union all
        select encode(sha256(('another ' || i)::bytea), 'hex') from generate_series(1, ${differences - half}) i) to stdout`),
    );
    await pipeline(lines, createWriteStream(path, { highWaterMark: 1 << 20 }));
  } finally {
    client.release(true);
  }
}
