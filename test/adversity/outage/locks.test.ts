import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startSimulator } from '../../../src/simulator/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { startWorkerProcess, type WorkerProcess } from './support.ts';

// Somebody locks a table that a chore needs, and goes for lunch.
const database = useTestDatabase();
const undo = new AsyncDisposableStack();
let worker: WorkerProcess;
let other: pg.Client;

beforeAll(async () => {
  const temp = await mkdtemp(join(tmpdir(), 'dict-vsync-locks-'));
  undo.defer(async () => rm(temp, { recursive: true, force: true }));
  const simulator = await startSimulator({ participants: 'any' });
  undo.defer(async () => simulator.stop());
  worker = await startWorkerProcess({
    DATABASE_URL: database.url,
    PARTICIPANT_ISPB: '12345678',
    BRIDGE_ADDRESS: simulator.address,
    TEMP_DIR: temp,
    CHORE_TIMEOUT_SECONDS: '0.5',
  });
  undo.defer(async () => void (await worker.stop()));
  other = new pg.Client({ connectionString: database.url });
  await other.connect();
  undo.defer(async () => other.end());
  // From then on the chores query only for what the look at pending work has found.
  await TO_DO['fold']?.give();
  await vi.waitFor(async () => expect(await TO_DO['fold']?.left()).toBe(0), { timeout: 10_000 });
});
afterAll(async () => undo.disposeAsync());

const count = async (sql: string) => (await database.pool.query(sql)).rowCount;
let n = 0;

/** Gives each chore a piece of work whose end another session can see; returns what is left of it. */
const TO_DO: Record<string, { give: () => Promise<unknown>; left: () => Promise<number | null> }> = {
  fold: {
    give: async () =>
      database.pool.query(
        `insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor) values ('12345678', 'CPF', 1, 0, repeat('0', 256)::bit(256))`,
      ),
    left: async () => count('select from dict.vsync_deltas'),
  },
  relay: {
    give: async () => {
      n += 1;
      await database.pool.query(
        `select dict.publish('12345678', 'CPF', 'sync.deadline_missed', jsonb_build_object('n', $1::integer), null)`,
        [n],
      );
    },
    left: async () =>
      (await count(`select from dict.notifications where payload -> 'data' ->> 'n' = '${n}'`)) === 1 ? 0 : 1,
  },
  sweep: {
    // A worker that died; its row says so once it is swept.
    give: async () =>
      database.pool.query(
        `insert into workflow.workers (id, heartbeat_at) values ('dead', clock_timestamp() - interval '1 minute')
         on conflict (id) do update set stopped_at = null`,
      ),
    left: async () => count(`select from workflow.workers where id = 'dead' and stopped_at is null`),
  },
};

test.each([
  ['fold', ['fold'], 'dict.vsync_buckets', ['relay', 'sweep']],
  ['relay', ['look', 'relay', 'feed'], 'dict.outbox, dict.feed_queue', ['fold', 'sweep']],
  ['sweep', ['sweep'], 'workflow.signals', ['fold', 'relay']],
])(
  '%s stuck on a lock is reported, the other chores continue, and it works again afterwards',
  async (chore, stuck, table, others) => {
    const before = worker.log().length;
    await TO_DO[chore]?.give().catch(() => undefined);
    await other.query(`begin; lock table ${table} in access exclusive mode`);
    try {
      if (chore === 'fold' || chore === 'sweep') await TO_DO[chore]?.give();
      const reported = () =>
        new Set(
          worker
            .log()
            .slice(before)
            .filter(({ code }) => code === 'DV_CHORE_BLOCKED')
            .map((line) => line['chore']),
        );
      for (const name of stuck) await expect.poll(reported, { timeout: 10_000 }).toContain(name);
      for (const name of others) {
        await TO_DO[name]?.give();
        await expect.poll(async () => TO_DO[name]?.left(), { timeout: 10_000 }).toBe(0);
      }
      // No more sessions wait for the lock than there are chores: none of those that were broken off is left behind.
      const waiting = await count(
        `select from pg_stat_activity where application_name = 'dict-vsync chores' and wait_event_type = 'Lock'`,
      );
      expect(waiting).toBeLessThanOrEqual(stuck.length);
    } finally {
      await other.query('rollback');
    }
    for (const { left } of Object.values(TO_DO)) await expect.poll(left, { timeout: 10_000 }).toBe(0);
    expect(JSON.stringify(worker.log())).not.toMatch(/DV_UNEXPECTED/);
  },
);

test('the server also breaks off a heartbeat stuck on a lock, and no session is left behind', async () => {
  await other.query('begin; lock table workflow.workers in access exclusive mode');
  try {
    const beat = database.pool.query(`select from workflow.heartbeat('late', '{}')`);
    await expect(beat).rejects.toMatchObject({ code: '55P03' });
  } finally {
    await other.query('rollback');
  }
});

test('a tick that cannot be decided is decided as soon as it can be', async () => {
  await database.pool.query(`update workflow.schedules set last_tick = last_tick - interval '1 day'`);
  await other.query('begin; select from workflow.schedules for update');
  const simulator = await startSimulator({ participants: 'any' });
  undo.defer(async () => simulator.stop());
  const second = await startWorkerProcess({
    DATABASE_URL: database.url,
    PARTICIPANT_ISPB: '12345678',
    BRIDGE_ADDRESS: simulator.address,
    CHORE_TIMEOUT_SECONDS: '0.5',
  });
  undo.defer(async () => void (await second.stop()));
  try {
    expect(second.log().filter(({ code }) => code === 'DV_CHORE_BLOCKED')).toMatchObject([
      { schedule: 'verification_schedule' },
    ]);
  } finally {
    await other.query('rollback');
  }
  await expect
    .poll(async () => count('select from workflow.schedule_ticks'), { timeout: 10_000 })
    .toBeGreaterThan(0);
});
