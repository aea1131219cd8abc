import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { createPool } from '../../../src/database/pool.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { foldDeltas } from '../../../src/dict/vsync/vsync-store.ts';
import { startRun } from '../../../src/engine/index.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { activities, twoSteps } from '../../unit/engine/worker-machine.ts';
import { Script } from '../../unit/engine/script.ts';
import { workerOf } from '../../unit/engine/support.ts';
import { ownServer } from '../outage/support.ts';
import { ISPB } from '../../support/key-base.ts';

// Rounds of work, each beside a reader that keeps its snapshot open throughout (a report, a dump), so that no vacuum
// can remove the rows that die meanwhile. SOAK_ROUNDS=200 makes it long.
const ROUNDS = Number(process.env['SOAK_ROUNDS'] ?? 3);
const RUNS = 400;
const STATEMENTS = 60;
/** What autovacuum leaves: its thresholds in 0012-operations.sql, and what dies while it works. */
const LEFT: Record<string, number> = {
  'workflow.runs': 1500,
  'graphile_worker._private_jobs': 2000,
  'dict.vsync_deltas': 4000,
  'dict.cid_changes': 4000,
  'dict.vsync_buckets': 3000,
  'workflow.workers': 400,
};
const TABLES = Object.keys(LEFT);
/** Bytes that a round writes to a table whose empty end a vacuum may or may not have cut off. */
const ONE_ROUND: Record<string, number> = { 'dict.cid_changes': 400 * STATEMENTS * 50 };

const undo = new AsyncDisposableStack();
let pool: Pool;
beforeAll(async () => {
  const server = await ownServer({ autovacuum_naptime: '1s', synchronous_commit: 'off' });
  undo.defer(async () => server.drop());
  await migrate(server.url);
  pool = createPool(server.url, { max: 20 });
  undo.defer(async () => pool.end());
  await importEntries(pool, [
    ...generateKeyBase({ participant: ISPB, keyTypes: ['CPF'], keysPerType: 3000, seed: 1 }),
  ]);
  const worker = await workerOf({ pool, machines: [twoSteps], activities }, new Script(), {
    concurrency: 8,
    chores: [{ name: 'fold', everyMs: 100, run: async () => void (await foldDeltas(pool)) }],
  });
  undo.defer(async () => worker.stop());
});
afterAll(async () => undo.disposeAsync());

async function work(round: number): Promise<void> {
  const open = async () => {
    const { rows } = await pool.query<{ n: number }>(
      `select count(*)::integer as n from workflow.runs where workflow_key like $1 and closed_at is null`,
      [`${round} %`],
    );
    return rows[0]!.n;
  };
  await Promise.all(
    Array.from({ length: RUNS }, async (_, n) => startRun(pool, 'two-steps', `${round} ${n}`, {}, 'test')),
  );
  for (let n = 0; n < STATEMENTS; n += 1) {
    await pool.query(
      `update dict.entries set name = $1 where ctid in (select ctid from dict.entries order by random() limit 50)`,
      [`${round} ${n}`],
    );
    // Also single keys, as customers change them.
    await pool.query(
      `do $$ declare place tid; begin
         for place in select ctid from dict.entries order by random() limit 50 loop
           update dict.entries set branch = (random() * 9999)::integer::text where ctid = place;
         end loop; end $$`,
    );
  }
  await expect.poll(open, { interval: 50, timeout: 60_000 }).toBe(0);
  for (const table of ['dict.vsync_deltas', 'dict.cid_changes']) {
    await expect.poll(async () => (await pool.query(`select from ${table}`)).rowCount).toBe(0);
  }
}

interface Table {
  dead: number;
  bytes: number;
}

async function tables(): Promise<Record<string, Table>> {
  const { rows } = await pool.query<Table & { name: string }>(
    `select schemaname || '.' || relname as name, n_dead_tup::integer as dead, pg_total_relation_size(relid)::integer as bytes
     from pg_stat_user_tables where schemaname || '.' || relname = any ($1)`,
    [TABLES],
  );
  return Object.fromEntries(rows.map(({ name, dead, bytes }) => [name, { dead, bytes }]));
}

test(
  'what died beside a long reader is removed soon after it, and the tables of short-lived rows stop growing',
  { timeout: 60_000 * ROUNDS },
  async () => {
    const sizes: Record<string, Table>[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      const reader = await pool.connect();
      await reader.query('begin isolation level repeatable read');
      await reader.query('select count(*) from workflow.runs');
      await work(round);
      await reader.query('commit');
      reader.release();
      const tooMany = async () =>
        Object.entries(await tables()).filter(([name, { dead }]) => dead > LEFT[name]!);
      await expect.poll(tooMany, { timeout: 40_000, interval: 250 }).toEqual([]);
      sizes.push(await tables());
    }
    const [first, last] = [sizes[0]!, sizes.at(-1)!];
    for (const name of TABLES) {
      // Runs stay: they are rows, not bloat. Everything else lives for a moment.
      const kept = name === 'workflow.runs' ? 2000 * RUNS * ROUNDS : (ONE_ROUND[name] ?? 0);
      expect(last[name]!.bytes, name).toBeLessThan(first[name]!.bytes * 1.6 + kept + 512 * 1024);
    }
    if (ROUNDS > 10) process.stdout.write(`${JSON.stringify({ first, last })}\n`);
  },
);

test('migrating tunes the queue of Graphile Worker too', async () => {
  const { rows } = await pool.query<{ options: string[] }>(
    `select reloptions as options from pg_class where oid = 'graphile_worker._private_jobs'::regclass`,
  );
  expect(rows[0]!.options).toContain('autovacuum_vacuum_threshold=1000');
});
