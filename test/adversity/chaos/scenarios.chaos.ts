import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { Bank } from './bank.ts';
import { brokenInvariants } from './invariants.ts';

const rounds = Number(process.env['CHAOS_ROUNDS'] ?? 1);
const OUT_OF_MEMORY = [
  '--max-old-space-size=150',
  '--import',
  join(import.meta.dirname, './out-of-memory.ts'),
];

describe.each(Array.from({ length: rounds }, (_, n) => n + 1))('round %i', () => {
  let bank: Bank;
  beforeAll(async () => {
    bank = await Bank.open();
  });
  afterAll(async () => bank.close());

  /** Expects that nothing is left to do, that the workers exit cleanly, and that every invariant is true. */
  async function allIsWell(): Promise<void> {
    await bank.untilQuiet();
    await bank.stopWorkers();
    await bank.inspect();
  }
  async function begin(): Promise<void> {
    onTestFailed(() => void process.stderr.write(bank.log().slice(-6000)));
    await bank.workload();
  }
  const claims = async (event: string) => {
    const { rows } = await bank.pool.query<{ n: number }>(
      'select count(*)::integer as n from workflow.history where event = $1',
      [event],
    );
    return rows[0]?.n ?? 0;
  };

  test('another worker continues the run of a killed worker within 15 s', async () => {
    await begin();
    const victim = bank.worker('kill:after-activity-before-transaction');
    await victim.gone();
    const died = performance.now();
    bank.worker();
    const goesOn = async () => {
      const { rows } = await bank.pool.query<{ at: string }>(
        `select from workflow.history a join workflow.history s on s.run_id = a.run_id and s.id > a.id and s.event = 'STARTED'
         where a.event = 'ABANDONED'`,
      );
      return rows.length;
    };
    await expect.poll(goesOn, { timeout: 20_000, interval: 50 }).toBeGreaterThan(0);
    const seconds = (performance.now() - died) / 1000;
    process.stdout.write(`taken over after ${seconds.toFixed(1)} s\n`);
    expect(seconds).toBeLessThan(15);
    await allIsWell();
  });

  test('another worker takes over from a worker frozen past its lease, and what the zombie then writes is discarded', async () => {
    await begin();
    const zombie = bank.worker('stop:after-effect-before-commit');
    await zombie.reached('after-effect-before-commit');
    const before = await claims('ABANDONED');
    bank.worker();
    // No lease is shortened here: the worker is frozen in an open transaction, with the run's row locked.
    await expect
      .poll(async () => claims('ABANDONED'), { timeout: 20_000, interval: 50 })
      .toBeGreaterThan(before);
    await bank.untilQuiet();
    zombie.signal('SIGCONT');
    await expect.poll(() => zombie.said, { timeout: 20_000 }).toMatch(/DV_FENCED|DV_DATABASE|broke/);
    await allIsWell();
  });

  test('a slow worker that is alive keeps its run, even when busy for longer than a lease', async () => {
    await begin();
    const worker = bank.worker('stop:step-claimed');
    await worker.reached('step-claimed');
    const before = await claims('ABANDONED');
    // Frozen for less than a lease, again and again, beside a worker that sweeps.
    const sweeper = bank.worker();
    await sweeper.ready();
    for (let times = 0; times < 3; times++) {
      await delay(4000);
      worker.signal('SIGCONT');
      await delay(3000);
      if (times < 2) await worker.freeze();
    }
    await bank.untilQuiet();
    expect(await claims('ABANDONED')).toBe(before);
    await allIsWell();
  });

  test('work survives a network that swallows everything for 30 s', async () => {
    await begin();
    const worker = bank.worker('stop:after-activity-before-transaction');
    await worker.reached('after-activity-before-transaction');
    bank.proxy.blackHole(true);
    worker.signal('SIGCONT');
    await delay(30_000);
    bank.proxy.blackHole(false);
    await allIsWell();
  });

  test.each(['1 hour', '-1 hour'])('work survives a clock that jumps by %s, and back', async (jump) => {
    await begin();
    const worker = bank.worker('stop:after-activity-before-transaction');
    await worker.reached('after-activity-before-transaction');
    await bank.pool.query('update workflow.clock set offset_by = offset_by + $1::interval', [jump]);
    worker.signal('SIGCONT');
    if (jump.startsWith('-')) {
      // Timers set before are an hour late now; none is lost.
      await expect.poll(async () => brokenInvariantsOfRuns(), { timeout: 20_000 }).toEqual([]);
    } else {
      await bank.untilQuiet();
    }
    await bank.pool.query('update workflow.clock set offset_by = offset_by - $1::interval', [jump]);
    await allIsWell();
  });
  const brokenInvariantsOfRuns = async () =>
    Object.keys(await brokenInvariants(bank.pool)).filter((name) => name.startsWith('every run'));

  test('with two workers one tick fires once', async () => {
    await begin();
    const ticks = async () =>
      (await bank.pool.query(`select from workflow.signals where name = 'tick'`)).rowCount ?? 0;
    const before = await ticks();
    await Promise.all([bank.worker().ready(), bank.worker().ready(), bank.worker().ready()]);
    expect(await ticks()).toBe(before + 1);
    await allIsWell();
  });

  test('work survives a worker that runs out of memory in a step', async () => {
    await begin();
    const worker = bank.worker('kill:step-claimed', OUT_OF_MEMORY);
    expect(await worker.gone()).toBe('SIGABRT');
    expect(worker.said).toContain('heap out of memory');
    await bank.expireLeases();
    await allIsWell();
  });

  test('a step that kills three workers is poisoned, other runs continue, and a person retries it', async () => {
    const { rows } = await bank.pool.query<{ id: string }>(
      `select dict.start_reconciliation('12345678', array['PHONE']) as id`,
    );
    for (let death = 1; death <= 3; death++) {
      const worker = bank.worker('kill:step-claimed');
      expect(await worker.gone()).toBe('SIGKILL');
      await bank.expireLeases();
      await bank.pool.query('select workflow.sweep()');
    }
    const status = async () =>
      (
        await bank.pool.query<{ status: string }>('select status from workflow.runs where id = $1', [
          rows[0]?.id,
        ])
      ).rows[0]?.status;
    expect(await status()).toBe('POISONED');
    await bank.workload();
    await bank.untilQuiet();
    expect(await status()).toBe('POISONED');
    await bank.pool.query('select workflow.retry($1)', [rows[0]?.id]);
    await bank.untilQuiet();
    expect(await status()).toBe('COMPLETED');
    await allIsWell();
  });

  test('a clean stop hands over immediately and uses up no attempt', async () => {
    await begin();
    const worker = bank.worker('stop:step-claimed');
    await worker.reached('step-claimed');
    const other = bank.worker();
    await other.ready();
    const before = await claims('ABANDONED');
    worker.signal('SIGCONT');
    expect(await worker.stop()).toBe(0);
    await bank.untilQuiet();
    expect(await claims('ABANDONED')).toBe(before);
    await allIsWell();
  });
});
