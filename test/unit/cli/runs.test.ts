import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunView } from '../../../src/engine/index.ts';
import { storeMachines } from '../../../src/engine/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { cli, type Ended, expectRefusal } from './support.ts';
import { ISPB } from '../../support/key-base.ts';

// No worker runs here: a started run stays in the queue.
const database = useTestDatabase();
const steer = (args: string[], env: Record<string, string> = {}): Promise<Ended> =>
  cli(args, { env: { DATABASE_URL: database.url, ...env } });
const started = async (...args: string[]) =>
  (await steer(['start', ...args, '--participant', ISPB, '--json'])).json<{ runs: RunView[] }>().runs;

async function runs(): Promise<{ id: string; status: string; version: string }[]> {
  const { rows } = await database.pool.query<{ id: string; status: string; version: string }>(
    'select id, status, version from workflow.runs order by id',
  );
  return rows;
}

beforeEach(async () => {
  await database.pool.query('truncate workflow.runs, dict.participants cascade');
});

describe('start', () => {
  it('it starts before any worker ever ran, and says that none is alive', async () => {
    await database.pool.query('truncate workflow.machines cascade');
    const answered = await steer(['start', 'verification', '--participant', ISPB]);
    expect(answered).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^No worker is alive/) as string,
    });
    const [run] = await runs();
    expect(answered.stdout).toBe(
      `${run?.id}  verification:${ISPB}:CNPJ,CPF,EMAIL,EVP,PHONE  PENDING  read\n`,
    );
  });

  it('it returns the same run when that is already open', async () => {
    const [first] = await started('verification');
    const [again] = await started('verification');
    expect(again?.id).toBe(first?.id);
    expect(await runs()).toHaveLength(1);
  });

  it('it starts a reconciliation for each key type, in any letter case', async () => {
    const started_ = await started('reconciliation', '--key-type', 'cpf', 'EVP');
    expect(started_.map(({ workflowKey }) => workflowKey)).toEqual([
      `reconciliation:${ISPB}:CPF`,
      `reconciliation:${ISPB}:EVP`,
    ]);
  });

  it('it takes the participants of the settings, otherwise those of the last worker', async () => {
    const env = { PARTICIPANT_ISPB: '00000001,00000002' };
    const configured = await steer(['start', 'verification', '--key-type', 'CPF', '--json'], env);
    expect(configured.json<{ runs: RunView[] }>().runs.map(({ input }) => input['participant'])).toEqual([
      '00000001',
      '00000002',
    ]);
    expectRefusal(await steer(['start', 'verification']), 2, 'DV_PARTICIPANT_MISSING');
    await database.pool.query(`insert into dict.participants values ('00000003')`);
    const known = await steer(['start', 'verification', '--json']);
    expect(known.json<{ runs: RunView[] }>().runs.map(({ input }) => input['participant'])).toEqual([
      '00000003',
    ]);
  });

  it('it refuses a participant that is not configured, and starts nothing', async () => {
    const here = { PARTICIPANT_ISPB: '00000001,00000002' };
    const refused = await steer(['start', 'verification', '--participant', '00000003'], here);
    expectRefusal(refused, 2, 'DV_PARTICIPANT_UNKNOWN');
    expect(refused.stderr).toContain('00000001, 00000002');
    // What the worker stored counts more than what this command's own environment says.
    await database.pool.query(`insert into dict.participants values ('00000003')`);
    const machine = ['start', 'reconciliation', '--key-type', 'CPF'];
    expectRefusal(await steer([...machine, '--participant', '00000001']), 2, 'DV_PARTICIPANT_UNKNOWN');
    expectRefusal(await steer(machine, here), 2, 'DV_PARTICIPANT_UNKNOWN');
    expect(await runs()).toEqual([]);
    expect(await steer([...machine, '--participant', '00000003'], here)).toMatchObject({ exitCode: 0 });
  });

  it('with --wait it gives up soon when no worker is alive, and leaves the run in the queue', async () => {
    const refused = await steer(['start', 'verification', '--participant', ISPB, '--wait', '--json']);
    expectRefusal(refused, 1, 'DV_NO_WORKER');
    const [run] = await runs();
    expect(refused.json()).toEqual({
      error: { code: 'DV_NO_WORKER', message: expect.stringContaining(run!.id) as string },
    });
    expect(run?.status).toBe('PENDING');
  });
});

describe('list', () => {
  it('it first names the poisoned runs and their machines, even when the list does not reach them', async () => {
    const [run] = await started('verification');
    await database.pool.query(
      `select workflow.close_run(r, 'POISONED', '{"code": "DV_STEP_POISONED"}') from workflow.runs r where id = $1`,
      [run?.id],
    );
    await started('reconciliation', '--key-type', 'CPF');
    const listed = await steer(['list', '--limit', '1']);
    expect(listed.stdout).toMatch(/^Poisoned: 1 of verification, because three workers died/);
    expect((await steer(['list', '--json', '--limit', '1'])).json()).toMatchObject({
      poisoned: [{ machine: 'verification', count: 1 }],
    });
  });

  it('it shows the runs of one status or machine, newest first', async () => {
    const [verification] = await started('verification');
    const [reconciliation] = await started('reconciliation', '--key-type', 'CPF');
    await steer(['cancel', verification!.id]);
    const listed = async (...args: string[]) =>
      (await steer(['list', '--json', ...args])).json<{ runs: RunView[] }>().runs.map(({ id }) => id);
    expect(await listed()).toEqual([reconciliation?.id, verification?.id]);
    expect(await listed('--status', 'cancelled')).toEqual([verification?.id]);
    expect(await listed('--machine', 'reconciliation')).toEqual([reconciliation?.id]);
    expect(await listed('--limit', '1')).toEqual([reconciliation?.id]);
    const lines = (await steer(['list'])).stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^run +workflow key +status +state +started +took +waits for, or error$/);
    expect(lines[2]).toMatch(
      /^\S+  reconciliation:12345678:CPF +PENDING +open +\S+Z +\S+ s +a worker for the step open$/,
    );
    expect(lines).toHaveLength(4);
  });
});

describe('describe', () => {
  it('it shows a run by its id and by its workflow key', async () => {
    const [run] = await started('reconciliation', '--key-type', 'CPF');
    const byId = await steer(['describe', run!.id, '--json']);
    expect(byId.json()).toMatchObject({
      run: { id: run!.id, status: 'PENDING', waitsFor: 'a worker for the step open' },
      history: [{ event: 'CREATED', state: 'open' }],
      children: [],
      sentVSyncs: [],
      reconciliation: null,
      approve: null,
    });
    const byKey = (await steer(['describe', `reconciliation:${ISPB}:CPF`])).stdout;
    expect(byKey).toMatch(new RegExp(`^run +${run!.id}\n`));
    expect(byKey).toMatch(/^waits for +a worker for the step open$/m);
    expect(byKey).toMatch(/Z +open +created: /);
  });
});

describe('cancel and retry', () => {
  it('it cancels a run, and records who asked and why', async () => {
    const [run] = await started('reconciliation', '--key-type', 'CPF');
    const cancelled = await steer([
      'cancel',
      run!.workflowKey,
      '--by',
      'ana',
      '--reason',
      'by mistake',
      '--json',
    ]);
    expect(cancelled.json()).toEqual({ id: run!.id, status: 'CANCELLED' });
    expect((await steer(['describe', run!.id])).stdout).toContain('cancel requested: ana: by mistake');
    expectRefusal(await steer(['cancel', run!.id]), 1, 'DV_RUN_CLOSED');
  });

  it('it asks a running run to end', async () => {
    const [run] = await started('reconciliation', '--key-type', 'CPF');
    await database.pool.query(`update workflow.runs set claimed_by = 'w', status = 'RUNNING'`);
    expect((await steer(['cancel', run!.id])).stdout).toBe(
      `Run ${run!.id} is running a step. It is cancelled at the end of this step.\n`,
    );
  });

  it('it opens a failed run again, and only a failed one', async () => {
    const [run] = await started('verification', '--key-type', 'CPF');
    expectRefusal(await steer(['retry', run!.id]), 1, 'DV_RUN_NOT_FAILED');
    await database.pool.query(
      `select workflow.close_run(r, 'FAILED', '{"code": "DV_BRIDGE_UNREACHABLE", "message": "The Bridge is down."}')
       from workflow.runs r`,
    );
    const described = (await steer(['describe', run!.id])).stdout;
    expect(described).toMatch(/^error +DV_BRIDGE_UNREACHABLE: The Bridge is down\.$/m);
    expect((await steer(['list'])).stdout).toMatch(/DV_BRIDGE_UNREACHABLE$/m);
    const retried = await steer(['retry', run!.id, '--by', 'ana', '--json']);
    expect(retried.json()).toEqual({ id: run!.id, state: 'read' });
    expect(await runs()).toMatchObject([{ status: 'RUNNING' }]);
  });
});

describe('a run that does not exist, or waits for nothing', () => {
  beforeAll(() => storeMachines(database.pool, machines));

  const nobody = '01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071';
  const decision = ['--by', 'ana', '--reason', 'because'];
  it.each([
    ['describe', []],
    ['approve', decision],
    ['reject', decision],
    ['cancel', []],
    ['retry', []],
  ])('%s: DV_RUN_NOT_FOUND', async (name, flags) => {
    for (const run of [nobody, 'no-such-key', `${nobody}0`, "'; drop table x"]) {
      const refused = await steer([name, run, ...flags, '--json']);
      expectRefusal(refused, 1, 'DV_RUN_NOT_FOUND');
      expect(refused.json()).toMatchObject({ error: { code: 'DV_RUN_NOT_FOUND' } });
    }
  });

  it.each(['approve', 'reject'])('%s: DV_RUN_NOT_WAITING, and DV_DECISION_UNSIGNED', async (name) => {
    const [run] = await started('reconciliation', '--key-type', 'CPF');
    const before = await runs();
    expectRefusal(await steer([name, run!.id, ...decision]), 1, 'DV_RUN_NOT_WAITING');
    expectRefusal(await steer([name, run!.id, '--by', ' ', '--reason', 'x']), 2, 'DV_DECISION_UNSIGNED');
    expect(await runs()).toEqual(before);
  });
});
