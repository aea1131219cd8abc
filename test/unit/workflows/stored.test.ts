import { describe, expect, test } from 'vitest';
import { activities } from '../../../tasks/index.ts';
import type { Json, Step } from '../../../src/engine/index.ts';
import type { Services } from '../../../src/workflows/activity-services.ts';
import { roundActivity, verificationScheduleActivity } from '../../../src/workflows/define-activity.ts';
import { createLog } from '../../../src/log.ts';

const log = await createLog({ level: 'silent', pretty: false });
/** An activity that touches a service before its input and context were read fails with another error. */
const services = {} as Services;
const INPUT = { participant: '12345678', keyType: 'CPF', keyTypes: ['CPF'], run: 'a run' };

function stepWith(input: Json, context: Json): Step {
  return {
    run: {
      id: '00000000-0000-0000-0000-000000000000',
      machine: 'any',
      workflowKey: 'any',
      correlationId: 'any',
      input,
      context,
      parentId: null,
      error: null,
      failedState: null,
    },
    state: 'any',
    task: 'any',
    attempt: 1,
    repetitions: 0,
    enteredAt: new Date(),
    signal: AbortSignal.timeout(60_000),
    log,
    fenced: async () => Promise.reject(new Error('nothing may be written')),
  };
}

const unreadable = { code: 'DV_UNEXPECTED', class: 'not_retryable' };

describe('what is stored with a run', () => {
  test.each(Object.keys(activities) as (keyof typeof activities)[])(
    'stops %s for good when it is not its input',
    async (task) => {
      const step = stepWith({ participant: 12_345_678 }, {});
      await expect(activities[task](step, services)).rejects.toMatchObject(unreadable);
    },
  );

  const remembering = (Object.keys(activities) as (keyof typeof activities)[]).filter(
    (task) => !task.includes('undo'),
  );
  test.each(remembering)('stops %s for good when it is not its context', async (task) => {
    const context = { round: 'first', toScan: 'CPF', todo: null, executions: 'many' };
    await expect(activities[task](stepWith(INPUT, context), services)).rejects.toMatchObject(unreadable);
  });

  test('is not taken for a round when the number of the round is missing', async () => {
    const step = stepWith(INPUT, { file: { row: 'one', id: 'two' } });
    const failing = activities.apply_reconciliation(step, services);
    await expect(failing).rejects.toMatchObject({ ...unreadable, message: expect.stringContaining('round') });
  });

  test('is named by its fields only, because the values may be personal data', async () => {
    const step = stepWith(INPUT, { round: '11122233344' });
    const failing = activities.compare_cids(step, services);
    await expect(failing).rejects.toMatchObject({ message: expect.not.stringContaining('11122233344') });
  });

  test('keeps the fields that this program does not know', async () => {
    let read: unknown;
    const work = roundActivity<'done'>(async ({ context }) => {
      read = context;
      return { outcome: 'done', context: { round: context.round } };
    });
    const context = { round: 2, newer: { field: 1 }, file: { row: 'one', id: 'two', newer: true } };
    await work(stepWith(INPUT, context), services);
    expect(read).toEqual(context);
  });

  test('may lack what older runs did not write yet', async () => {
    const work = verificationScheduleActivity<'done'>(async ({ context }) => {
      expect(context.executions).toBeUndefined();
      return { outcome: 'done' };
    });
    expect(await work(stepWith(INPUT, {}), services)).toEqual({ outcome: 'done' });
  });
});
