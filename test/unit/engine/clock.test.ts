import { expect, test } from 'vitest';
import { machineOver, startRun, storeMachines } from '../../../src/engine/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { advanceClock, rowOf } from './support.ts';

const database = useTestDatabase();

test('uuidv7 is of version 7 and the RFC’s variant, contains the time and sorts by it', async () => {
  const before = Date.now();
  const { rows } = await database.pool.query<{ ids: string[]; later: string }>(
    `select array(select workflow.uuidv7() from generate_series(1, 500)) as ids,
            (select workflow.uuidv7() from pg_sleep(0.003)) as later`,
  );
  const { ids = [], later = '' } = rows[0] ?? {};
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(500);
  const times = ids.map((id) => parseInt(id.replace('-', '').slice(0, 12), 16));
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(times[0]).toBeGreaterThanOrEqual(before - 5);
  expect(times.at(-1)).toBeLessThanOrEqual(Date.now() + 5);
  // Asked for twice in a row, it differs in more than the last bits.
  expect(new Set(ids.map((id) => id.slice(-12))).size).toBe(500);
  expect([...ids, later].toSorted().at(-1)).toBe(later);
});

test('now is the database’s clock until advance_clock moves it, and the timers of open runs with it', async () => {
  const offset = async () => {
    const { rows } = await database.pool.query<{ seconds: number }>(
      `select extract(epoch from workflow.now() - clock_timestamp())::float8 as seconds`,
    );
    return rows[0]?.seconds;
  };
  expect(await offset()).toBeCloseTo(0, 1);
  const waits = machineOver<object>()({
    name: 'waits',
    version: 1,
    initial: 'wait',
    states: {
      wait: { kind: 'wait', signals: ['go'], deadlineMs: 3_600_000, on: { go: 'end', timeout: 'end' } },
      end: { kind: 'terminal', closesAs: 'COMPLETED' },
    },
  });
  await storeMachines(database.pool, [waits]);
  const run = await startRun(database.pool, 'waits', 'k', {}, 'test');
  const dueIn = async () => {
    const { rows } = await database.pool.query<{ seconds: number }>(
      `select extract(epoch from run_at - clock_timestamp())::float8 as seconds from graphile_worker.jobs
       where key = 'run:' || $1`,
      [run],
    );
    return rows[0]?.seconds;
  };
  expect(await dueIn()).toBeCloseTo(3600, 0);
  await advanceClock(database.pool, '59 minutes');
  expect(await offset()).toBeCloseTo(3540, 0);
  expect(await dueIn()).toBeCloseTo(60, 0);
  expect((await rowOf(database.pool, run)).wakes_in).toBeCloseTo(60, 0);
  await advanceClock(database.pool, '2 minutes');
  expect(await dueIn()).toBeLessThanOrEqual(0);
});
