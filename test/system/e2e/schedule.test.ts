import { describe, expect, it, vi } from 'vitest';
import { historyOf, listRuns, readCrontab, type RunView } from '../../../src/engine/index.ts';
import { ISPB, startSystem, type System, type SystemOptions } from '../../support/system.ts';

const CRONTAB = 'CRON_TZ=America/Sao_Paulo\n0 3 * * * verification_schedule';
const [DAILY] = readCrontab(CRONTAB);
const KEY = `verification-schedule:${ISPB}`;
const OTHER = '87654321';

/** DICT and the base are empty: these tests are about which runs are started. */
const startScheduled = (options: SystemOptions = {}): Promise<System> =>
  startSystem({ keysPerType: 0, crontab: CRONTAB, simulator: { limits: 'off' }, ...options });

async function now({ pool }: System): Promise<Date> {
  const { rows } = await pool.query<{ now: Date }>('select workflow.now() as now');
  return rows[0]!.now;
}

/** Moves the workflows' clock to a minute after the tick that is `days` ticks ahead; returns that tick. */
async function toTick(system: System, days = 1): Promise<Date> {
  const from = await now(system);
  const tick = DAILY!.ticks(from, new Date(from.getTime() + (days + 1) * 86_400_000), 1000)[days - 1]!;
  await system.advance(`${tick.getTime() - from.getTime() + 60_000} milliseconds`);
  return tick;
}

/** Wakes the workers, as Graphile Worker's cron does each minute in which something is due. */
async function cronMinute({ pool }: System): Promise<void> {
  await pool.query(
    `select graphile_worker.add_job('verification_schedule', json_build_object('schedule', 'verification_schedule'))`,
  );
}

async function ticks({ pool }: System): Promise<{ tick: Date; outcome: string }[]> {
  const { rows } = await pool.query<{ tick: Date; outcome: string }>(
    'select tick, outcome from workflow.schedule_ticks order by tick',
  );
  return rows;
}

/** The verifications until now, oldest first, once there are N and all have ended. */
async function verifications({ pool }: System, count: number): Promise<RunView[]> {
  return vi.waitFor(
    async () => {
      const runs = await listRuns(pool, { machine: 'verification' });
      expect(runs.map(({ status }) => status)).toEqual(Array(count).fill('COMPLETED'));
      return runs.reverse();
    },
    { timeout: 10_000, interval: 20 },
  );
}

const waitingIn = async (executions: number, system: System) =>
  vi.waitFor(
    async () => {
      const { rows } = await system.pool.query(
        `select context -> 'executions' as executions from workflow.runs
         where workflow_key = $1 and closed_at is null and status = 'WAITING'`,
        [KEY],
      );
      expect(rows).toEqual([{ executions }]);
    },
    { timeout: 10_000, interval: 20 },
  );

describe('the schedule', () => {
  it('it starts one verification of all types per tick', async () => {
    const system = await startScheduled();
    const schedule = await system.waitForRun(KEY, ({ status }) => status === 'WAITING');
    const tick = await toTick(system);
    await cronMinute(system);
    const [run] = await verifications(system, 1);
    expect(run).toMatchObject({
      workflowKey: `verification:${ISPB}:CNPJ,CPF,EMAIL,EVP,PHONE`,
      parentId: schedule.id,
      correlationId: schedule.correlationId,
    });
    expect(await ticks(system)).toEqual([{ tick, outcome: 'FIRED' }]);
    expect(tick.toISOString()).toMatch(/T06:00:00\.000Z$/);
    const started = (await historyOf(system.pool, schedule.id)).find(({ outcome }) => outcome === 'started');
    expect(started?.detail).toMatchObject({
      children: [run!.id],
      signal: { name: 'tick', by: 'crontab', payload: { tick: tick.toISOString() } },
    });
  });

  it('it starts a tick’s verification once, however often and by however many workers the tick is noticed', async () => {
    const system = await startScheduled();
    await system.startAnotherService();
    await toTick(system);
    await Promise.all([1, 2, 3, 4].map(() => cronMinute(system)));
    await verifications(system, 1);
    await cronMinute(system);
    await vi.waitFor(async () => {
      const { rows } = await system.pool.query(
        `select from graphile_worker.jobs where task_identifier = 'verification_schedule'`,
      );
      expect(rows).toHaveLength(0);
    });
    await verifications(system, 1);
    expect(await ticks(system)).toHaveLength(1);
    const { rows } = await system.pool.query('select name from workflow.signals');
    expect(rows).toEqual([{ name: 'tick' }]);
  });

  it('it starts one verification for each participant', async () => {
    const system = await startScheduled({ participants: [ISPB, OTHER] });
    await toTick(system);
    await cronMinute(system);
    const runs = await verifications(system, 2);
    expect(new Set(runs.map(({ input }) => input['participant']))).toEqual(new Set([ISPB, OTHER]));
    const parents = await listRuns(system.pool, { machine: 'verification_schedule' });
    expect(parents.map(({ workflowKey }) => workflowKey).sort()).toEqual([
      KEY,
      `verification-schedule:${OTHER}`,
    ]);
    expect(new Set(runs.map(({ parentId }) => parentId))).toEqual(new Set(parents.map(({ id }) => id)));
  });

  it('of the ticks missed while no worker ran, it makes up only for the newest', async () => {
    const system = await startScheduled();
    await system.stopService();
    const last = await toTick(system, 4);
    await system.restartService();
    await verifications(system, 1);
    const seen = await ticks(system);
    expect(seen.map(({ outcome }) => outcome)).toEqual(['SKIPPED', 'SKIPPED', 'SKIPPED', 'FIRED']);
    expect(seen.at(-1)!.tick).toEqual(last);
  });

  it('it makes up for no tick that is older than 12 hours', async () => {
    const system = await startScheduled();
    await system.stopService();
    await toTick(system, 2);
    await system.advance('12 hours');
    await system.restartService();
    expect((await ticks(system)).map(({ outcome }) => outcome)).toEqual(['SKIPPED', 'SKIPPED']);
    expect(await listRuns(system.pool, { machine: 'verification' })).toEqual([]);
    await toTick(system);
    await cronMinute(system);
    await verifications(system, 1);
  });

  it('it closes as CONTINUED after 30 ticks, and a fresh, linked run takes over', async () => {
    const system = await startScheduled();
    const first = await system.waitForRun(KEY, ({ status }) => status === 'WAITING');
    for (let tick = 1; tick <= 29; tick++) {
      await toTick(system);
      await cronMinute(system);
      await verifications(system, tick);
    }
    await waitingIn(29, system);
    await toTick(system);
    await cronMinute(system);
    expect(await system.waitForClosed(first.id)).toMatchObject({ status: 'CONTINUED' });
    await verifications(system, 30);

    const fresh = await system.waitForRun(KEY, ({ status }) => status === 'WAITING');
    expect(fresh).toMatchObject({
      continuedFrom: first.id,
      input: { participant: ISPB },
      correlationId: first.correlationId,
    });
    expect(fresh.id).not.toBe(first.id);
    await toTick(system);
    await cronMinute(system);
    await waitingIn(1, system);
    const runs = await verifications(system, 31);
    expect(runs.map(({ parentId }) => parentId)).toEqual([...Array<string>(30).fill(first.id), fresh.id]);
    expect(await ticks(system)).toHaveLength(31);
  });

  it('a verification that a person starts does not disturb it', async () => {
    const system = await startScheduled({ keyTypes: ['CPF', 'CNPJ', 'PHONE', 'EMAIL', 'EVP'] });
    await system.waitForClosed(await system.verify());
    await toTick(system);
    await cronMinute(system);
    const [mine, theirs] = await verifications(system, 2);
    expect([mine!.parentId, theirs!.parentId !== null]).toEqual([null, true]);
  });

  it('a verification that is still open counts as the tick’s', async () => {
    const system = await startScheduled();
    const held = system.dict.faults.on({ kind: 'problem', status: 503, operation: 'createSyncVerification' });
    await toTick(system);
    await cronMinute(system);
    await waitingIn(1, system);
    await system.stopService();
    await toTick(system);
    held.off();
    await system.restartService();
    await waitingIn(2, system);
    await verifications(system, 1);
  });
});
