import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  cancelRun,
  historyOf,
  machineOver,
  retryRun,
  startRun,
  type RunningWorker,
} from '../../../src/engine/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { useEngine } from './engine-fixture.ts';
import { scripted } from './script.ts';
import { gate, pastOf, rowOf, rowOfKey, untilAborted, untilStatus } from './support.ts';

const activities = { work: scripted<'done' | 'give_up'>('done'), mourn: scripted<'done'>('done') };
const machineOf = machineOver<typeof activities>();
const ends = {
  end: { kind: 'terminal', closesAs: 'COMPLETED' },
  failed: { kind: 'terminal', closesAs: 'FAILED' },
} as const;
const plain = machineOf({
  name: 'plain',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two', give_up: 'wait' } },
    two: { kind: 'activity', task: 'work', on: { done: 'end', give_up: 'failed' } },
    wait: { kind: 'wait', signals: ['go'], on: { go: 'end' } },
    ...ends,
  },
});
const guarded = machineOf({
  name: 'guarded',
  version: 1,
  initial: 'one',
  states: {
    one: { kind: 'activity', task: 'work', on: { done: 'two', give_up: 'mourn', failure: 'mourn' } },
    two: { kind: 'activity', task: 'work', on: { done: 'end', give_up: 'mourn', failure: 'mourn' } },
    mourn: { kind: 'activity', task: 'mourn', on: { done: 'failed' } },
    ...ends,
  },
});

const { database, script, executor, work } = useEngine({ machines: [plain, guarded], activities });
const nobody = '00000000-0000-7000-8000-000000000000';
const start = async (machine: string, key: string) =>
  startRun(database.pool, machine, key, { kept: true }, 'test');
const cancel = async (run: string) => cancelRun(database.pool, run, 'ana', 'no longer needed');
const retry = async (run: string) => retryRun(database.pool, run, 'ana', 'repaired');
const fail = () => {
  throw new DvError('DV_DICT_FORBIDDEN', 'on purpose');
};

describe('cancel', () => {
  test('it immediately ends a run that waits, or whose step has not begun yet', async () => {
    const pending = await start('plain', 'pending');
    const waiting = await start('plain', 'waiting');
    script.on('waiting', 'one', () => ({ outcome: 'give_up' }));
    await executor.advance(waiting);
    for (const run of [pending, waiting]) {
      expect(await cancel(run)).toBe('CANCELLED');
      expect(await rowOf(database.pool, run)).toMatchObject({ status: 'CANCELLED', wakes_in: null });
      expect((await pastOf(database.pool, run)).slice(-2)[1]).toMatch(/^CLOSED .* CANCELLED$/);
      expect((await historyOf(database.pool, run)).at(-2)).toMatchObject({
        event: 'CANCEL_REQUESTED',
        detail: { by: 'ana', reason: 'no longer needed' },
      });
      await executor.advance(run);
    }
    expect(script.count('pending', 'one')).toBe(0);
  });

  test('it ends a run after the step in progress, whose effect stays', async () => {
    const run = await start('plain', 'in step');
    script.on('in step', 'one', async () => {
      expect(await cancel(run)).toBe('CANCEL_REQUESTED');
      return { outcome: 'done', context: { did: true } };
    });
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      status: 'CANCELLED',
      state: 'two',
      context: { did: true },
    });
    expect(script.count('in step', 'two')).toBe(0);
  });

  test('it ends a run whose step fails, without a failure transition', async () => {
    const run = await start('guarded', 'fails');
    script.on('fails', 'one', async () => {
      await cancel(run);
      throw new DvError('DV_DICT_INTERNAL', 'x');
    });
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      status: 'CANCELLED',
      state: 'one',
      failed_state: null,
    });
    expect((await pastOf(database.pool, run)).slice(-2)).toEqual([
      'FAILED one/1 cancelled',
      'CLOSED one/1 CANCELLED',
    ]);
  });

  test('it refuses a run that is closed or does not exist', async () => {
    const run = await start('plain', 'closed');
    await cancel(run);
    const past = await pastOf(database.pool, run);
    await expect(cancel(run)).rejects.toMatchObject({ code: 'DV_RUN_CLOSED' });
    await expect(cancel(nobody)).rejects.toMatchObject({ code: 'DV_RUN_NOT_FOUND' });
    expect(await pastOf(database.pool, run)).toEqual(past);
  });
});

describe('retry', () => {
  test('it continues in the state that failed, with input and context as they were', async () => {
    const run = await start('plain', 'failed');
    script.on('failed', 'one', () => ({ outcome: 'done', context: { one: true } }));
    script.on('failed', 'two', fail);
    await executor.advance(run);
    expect((await rowOf(database.pool, run)).status).toBe('FAILED');
    script.on('failed', 'two', ({ run: { error, failedState }, attempt }) => {
      expect([error, failedState, attempt]).toEqual([null, null, 1]);
      return { outcome: 'done' };
    });
    expect(await retry(run)).toBe('two');
    expect((await historyOf(database.pool, run)).at(-1)).toMatchObject({
      ...{ event: 'RETRIED', state: 'two', detail: { by: 'ana', reason: 'repaired' } },
    });
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      ...{
        status: 'COMPLETED',
        error: null,
        failed_state: null,
        context: { one: true },
        input: { kept: true },
      },
    });
    expect([script.count('failed', 'one'), script.count('failed', 'two')]).toEqual([1, 2]);
  });

  test('it goes back to the state whose failure led to a FAILED end', async () => {
    const run = await start('guarded', 'mourned');
    script.on('mourned', 'two', fail);
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({
      status: 'FAILED',
      state: 'failed',
      failed_state: 'two',
    });
    script.on('mourned', 'two', () => ({ outcome: 'done' }));
    expect(await retry(run)).toBe('two');
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'COMPLETED', error: null });
  });

  test('it goes back to the state that decided on the failure itself', async () => {
    const run = await start('guarded', 'decided');
    const error = { code: 'DV_DECIDED', class: 'not_retryable', message: 'said no' } as const;
    script.on('decided', 'two', () => ({ outcome: 'give_up', error }));
    await executor.advance(run);
    expect(await rowOf(database.pool, run)).toMatchObject({ status: 'FAILED', failed_state: 'two', error });
    expect(await retry(run)).toBe('two');
  });

  test('it refuses a run that has not failed, failed by the machine’s own decision, or does not exist', async () => {
    const open = await start('plain', 'open');
    const cancelled = await start('plain', 'cancelled');
    await cancel(cancelled);
    const decided = await start('plain', 'own decision');
    script.on('own decision', 'two', () => ({ outcome: 'give_up' }));
    await executor.advance(decided);
    for (const [run, code] of [
      [open, 'DV_RUN_NOT_FAILED'],
      [cancelled, 'DV_RUN_NOT_FAILED'],
      [decided, 'DV_RUN_NOT_RETRYABLE'],
      [nobody, 'DV_RUN_NOT_FOUND'],
    ] as const) {
      await expect(retry(run)).rejects.toMatchObject({ code });
    }
    expect((await rowOf(database.pool, decided)).status).toBe('FAILED');
  });

  test('it is refused while another run has the key', async () => {
    const run = await start('plain', 'taken');
    script.on('taken', 'one', fail);
    await executor.advance(run);
    const other = await start('plain', 'taken');
    const past = await pastOf(database.pool, run);
    await expect(retry(run)).rejects.toMatchObject({ code: 'DV_RUN_KEY_OPEN' });
    expect(await pastOf(database.pool, run)).toEqual(past);
    await cancel(other);
    expect(await retry(run)).toBe('one');
    expect((await rowOfKey(database.pool, 'taken')).id).toBe(run);
  });
});

describe('with a worker', () => {
  let worker: RunningWorker;
  beforeAll(async () => {
    worker = await work();
  });
  afterAll(async () => worker.stop());

  test('the step of a cancelled run has its AbortSignal fired within a heartbeat', async () => {
    const inWork = gate();
    let reason: unknown;
    script.on('long', 'one', ({ signal }) => {
      inWork.resolve();
      signal.addEventListener('abort', () => (reason = signal.reason));
      return untilAborted(signal);
    });
    const run = await start('guarded', 'long');
    await inWork.promise;
    expect(await cancel(run)).toBe('CANCEL_REQUESTED');
    await untilStatus(database.pool, run, 'CANCELLED', 5000);
    expect(reason).toMatchObject({ code: 'DV_RUN_CANCELLED' });
    expect((await rowOf(database.pool, run)).error?.code).toBe('DV_RUN_CANCELLED');
    expect(script.count('long', 'mourn')).toBe(0);
  });

  test('a retried run is taken up immediately', async () => {
    script.on('retried', 'one', fail);
    const run = await start('plain', 'retried');
    await untilStatus(database.pool, run, 'FAILED');
    script.on('retried', 'one', () => ({ outcome: 'done' }));
    await retry(run);
    await untilStatus(database.pool, run, 'COMPLETED', 1000);
  });
});
