import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  fireDueTicks,
  readCrontab,
  registerSchedules,
  type Schedule,
  type TickHandler,
  startRunIn,
} from '../../../src/engine/index.ts';
import { useEngine } from './engine-fixture.ts';
import { rowOfKey, type workerOf } from './support.ts';
import { activities, twoSteps } from './worker-machine.ts';

const { database, work } = useEngine({ machines: [twoSteps], activities });

async function setClock(to: string): Promise<void> {
  await database.pool.query('update workflow.clock set offset_by = $1::timestamptz - clock_timestamp()', [
    to,
  ]);
}

/** A schedule whose ticks up to the given moment are decided. */
async function scheduleSince(name: string, since: string, line: string): Promise<Schedule> {
  const [schedule] = readCrontab(`CRON_TZ=America/New_York\n${line} tick ?id=${name}`);
  if (schedule === undefined) throw new Error('no schedule');
  await setClock(since);
  await registerSchedules(database.pool, [schedule]);
  return schedule;
}

/** Each decided tick, oldest first. */
async function decided(name: string): Promise<string[]> {
  const { rows } = await database.pool.query<{ tick: Date; outcome: string }>(
    'select tick, outcome from workflow.schedule_ticks where schedule = $1 order by tick',
    [name],
  );
  return rows.map(({ tick, outcome }) => `${tick.toISOString().slice(0, 16)} ${outcome}`);
}

describe('due ticks', () => {
  let fired: string[];
  beforeEach(() => {
    fired = [];
  });
  const note: TickHandler = async (_tx, tick) => {
    fired.push(tick.toISOString().slice(0, 16));
  };

  test('a schedule seen for the first time makes up for nothing', async () => {
    const schedule = await scheduleSince('new', '2026-01-05T12:00Z', '0 3 * * *');
    expect(await fireDueTicks(database.pool, schedule, note)).toBeNull();
    await registerSchedules(database.pool, [schedule]);
    await setClock('2026-01-06T08:00:10Z');
    expect(await fireDueTicks(database.pool, schedule, note)).toEqual(new Date('2026-01-06T08:00Z'));
    await registerSchedules(database.pool, [schedule]);
    expect(await fireDueTicks(database.pool, schedule, note)).toBeNull();
    expect(fired).toEqual(['2026-01-06T08:00']);
  });

  test('a tick fires once, from five simultaneous calls', async () => {
    const schedule = await scheduleSince('contended', '2026-01-05T12:00Z', '0 3 * * *');
    await setClock('2026-01-06T08:00:01Z');
    const calls = await Promise.all(
      Array.from({ length: 5 }, async () => fireDueTicks(database.pool, schedule, note)),
    );
    expect(calls.filter((tick) => tick !== null)).toHaveLength(1);
    expect(fired).toEqual(['2026-01-06T08:00']);
    expect(await decided('contended')).toEqual(['2026-01-06T08:00 FIRED']);
  });

  test('of missed ticks the newest fires, the others are SKIPPED', async () => {
    const schedule = await scheduleSince('missed', '2026-01-05T12:00Z', '0 3 * * *');
    await setClock('2026-01-08T12:00Z');
    await fireDueTicks(database.pool, schedule, note);
    expect(fired).toEqual(['2026-01-08T08:00']);
    expect(await decided('missed')).toEqual([
      '2026-01-06T08:00 SKIPPED',
      '2026-01-07T08:00 SKIPPED',
      '2026-01-08T08:00 FIRED',
    ]);
  });

  test('even of those missed within the limit only the newest fires', async () => {
    const schedule = await scheduleSince('hourly', '2026-01-05T12:10Z', '0 * * * *');
    await setClock('2026-01-05T15:10Z');
    await fireDueTicks(database.pool, schedule, note);
    expect(fired).toEqual(['2026-01-05T15:00']);
    expect(await decided('hourly')).toEqual([
      '2026-01-05T13:00 SKIPPED',
      '2026-01-05T14:00 SKIPPED',
      '2026-01-05T15:00 FIRED',
    ]);
  });

  test('all are SKIPPED when the newest is 12 h old', async () => {
    const schedule = await scheduleSince('old', '2026-01-05T12:00Z', '0 3 * * *');
    await setClock('2026-01-07T20:00:01Z');
    expect(await fireDueTicks(database.pool, schedule, note)).toBeNull();
    expect(fired).toEqual([]);
    expect(await decided('old')).toEqual(['2026-01-06T08:00 SKIPPED', '2026-01-07T08:00 SKIPPED']);
    await setClock('2026-01-08T08:00:01Z');
    await fireDueTicks(database.pool, schedule, note);
    expect(fired).toEqual(['2026-01-08T08:00']);
  });

  test('one a second younger than 12 h fires', async () => {
    const schedule = await scheduleSince('just', '2026-01-05T12:00Z', '0 3 * * *');
    await setClock('2026-01-06T19:59:58Z');
    await fireDueTicks(database.pool, schedule, note);
    expect(fired).toEqual(['2026-01-06T08:00']);
  });

  test('a tick in a DST gap fires at the next valid minute', async () => {
    const schedule = await scheduleSince('gap', '2024-03-09T12:00Z', '30 2 * * *');
    await setClock('2024-03-10T06:59:58Z');
    await fireDueTicks(database.pool, schedule, note);
    expect(fired).toEqual([]);
    await setClock('2024-03-10T07:00:00Z');
    await fireDueTicks(database.pool, schedule, note);
    await setClock('2024-03-10T07:31:00Z');
    await fireDueTicks(database.pool, schedule, note);
    expect(fired).toEqual(['2024-03-10T07:00']);
  });

  test('a tick in a fold fires once', async () => {
    const schedule = await scheduleSince('fold', '2024-11-02T12:00Z', '30 1 * * *');
    for (const time of ['05:30:01', '06:30:01', '06:31:00']) {
      await setClock(`2024-11-03T${time}Z`);
      await fireDueTicks(database.pool, schedule, note);
    }
    expect(fired).toEqual(['2024-11-03T05:30']);
  });

  test('a tick whose handler fails is not decided, and comes again', async () => {
    const schedule = await scheduleSince('failing', '2026-01-05T12:00Z', '0 3 * * *');
    await setClock('2026-01-06T08:00:01Z');
    const fails: TickHandler = async (tx) => {
      await tx.query('create table public.half_done ()');
      throw new Error('on purpose');
    };
    await expect(fireDueTicks(database.pool, schedule, fails)).rejects.toThrow('on purpose');
    expect(await decided('failing')).toEqual([]);
    expect((await database.pool.query(`select to_regclass('public.half_done') as it`)).rows).toEqual([
      { it: null },
    ]);
    await fireDueTicks(database.pool, schedule, note);
    expect(await decided('failing')).toEqual(['2026-01-06T08:00 FIRED']);
  });

  test('an unregistered schedule fires nothing', async () => {
    const [schedule] = readCrontab('* * * * * tick ?id=unregistered');
    expect(schedule && (await fireDueTicks(database.pool, schedule, note))).toBeNull();
  });
});

describe('a worker', () => {
  test('it makes up for the tick missed while none ran, then fires as the crontab says, in the handler’s transaction', async () => {
    await setClock('2026-02-02T12:00Z');
    const schedules = readCrontab('0 3 * * * start_work ?id=nightly\n0 4 * * * no_such_task');
    await registerSchedules(database.pool, schedules);
    await setClock('2026-02-04T03:00:01Z');
    const options: Parameters<typeof workerOf>[2] = {
      schedules,
      ticks: {
        start_work: async (tx, tick) => {
          await startRunIn(tx, 'two-steps', `night of ${tick.toISOString().slice(0, 10)}`, {}, 'crontab');
        },
      },
    };
    const both = [await work(options), await work(options)];
    try {
      const completed = async (key: string) =>
        expect
          .poll(async () => rowOfKey(database.pool, key).catch(() => undefined), {
            interval: 20,
            timeout: 5000,
          })
          .toMatchObject({ status: 'COMPLETED' });
      await completed('night of 2026-02-04');
      expect(await decided('nightly')).toEqual(['2026-02-03T03:00 SKIPPED', '2026-02-04T03:00 FIRED']);
      await setClock('2026-02-05T03:00:01Z');
      // What Graphile Worker's cron adds at 03:00; twice, as a tick may come.
      for (let n = 0; n < 2; n++) {
        await database.pool.query(`select graphile_worker.add_job('start_work', '{"schedule": "nightly"}')`);
      }
      await completed('night of 2026-02-05');
      await vi.waitFor(async () => {
        const { rowCount } = await database.pool.query('select from graphile_worker.jobs');
        expect(rowCount).toBe(0);
      });
      expect(await decided('nightly')).toHaveLength(3);
      const { rows } = await database.pool.query(
        `select count(*)::integer as runs from workflow.runs where started_by = 'crontab'`,
      );
      expect(rows).toEqual([{ runs: 2 }]);
    } finally {
      await Promise.all(both.map(async (worker) => worker.stop()));
    }
  });
});
