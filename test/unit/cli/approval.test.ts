import { describe, expect, it } from 'vitest';
import type { RunView } from '../../../src/engine/index.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { startSystem, type System } from '../../support/system.ts';
import { cli, expectRefusal } from './support.ts';

interface Followed {
  inSync: boolean;
  runs: RunView[];
  waiting: { id: string; approve: string }[];
}

const on = (system: System) => (args: readonly string[]) =>
  cli(args, { env: { DATABASE_URL: system.url, PARTICIPANT_ISPB: system.participant } });

describe('start --wait', () => {
  it('it follows a verification and the reconciliations that it started to their end: exit 0 in sync', async () => {
    const steer = on(await startSystem({ keyTypes: KEY_TYPES, divergent: 3, keysPerType: 10 }));
    const waited = await steer(['start', 'verification', '--wait', '--json']);
    expect(waited.exitCode).toBe(0);
    const { inSync, runs, waiting } = waited.json<Followed>();
    expect({ inSync, waiting }).toEqual({ inSync: true, waiting: [] });
    expect(runs.map(({ machine, status }) => `${machine} ${status}`)).toEqual([
      'verification COMPLETED',
      ...Array<string>(5).fill('reconciliation COMPLETED'),
    ]);
    expect(waited.stderr).toMatch(/verification:12345678:\S+  COMPLETED  verified/);

    const described = (await steer(['describe', runs[0]!.id])).stdout;
    for (const run of runs.slice(1)) expect(described).toContain(`${run.id}  ${run.workflowKey}`);
    expect(described).toMatch(/ CPF +NOK +/);
    const reconciled = (await steer(['describe', runs[1]!.id])).stdout;
    expect(reconciled).toMatch(/^outcome +COMPLETED$/m);
    expect(reconciled).toMatch(/^keys corrected +1$/m);
    expect((await steer(['start', 'verification', '--key-type', 'CPF', '--wait'])).stdout).toBe(
      'In sync with DICT.\n',
    );
  });

  it('it exits with 1 when a run fails, and says why', async () => {
    const system = await startSystem();
    system.dict.faults.on({ kind: 'problem', operation: 'createSyncVerification', status: 403 });
    const waited = await on(system)(['start', 'verification', '--key-type', 'CPF', '--wait']);
    expect(waited.exitCode).toBe(1);
    expect(waited.stdout).toMatch(/^Not in sync with DICT\.\n/);
  });
});

describe('a repair over the threshold', () => {
  async function waiting() {
    const system = await startSystem({
      keysPerType: 120,
      divergent: 12,
      settings: { MANUAL_APPROVAL_THRESHOLD: '10' },
    });
    const steer = on(system);
    const waited = await steer(['start', 'verification', '--key-type', 'CPF', '--wait', '--json']);
    const followed = waited.json<Followed>();
    const [run] = followed.waiting;
    return { system, steer, waited, followed, run: run! };
  }

  it('it is shown, refused with another set, approved with its own, and continues', async () => {
    const { system, steer, waited, followed, run } = await waiting();
    expect(waited.exitCode).toBe(1);
    expect(followed.inSync).toBe(false);

    const described = await steer(['describe', run.id, '--json']);
    const { reconciliation } = described.json<{
      reconciliation: { setHash: string; dictOnlyCids: number; localOnlyCids: number };
    }>();
    expect(reconciliation).toMatchObject({
      dictOnlyCids: 8,
      localOnlyCids: 8,
      setHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(run.approve).toBe(
      `dict-vsync approve ${run.id} --by NAME --reason TEXT --set ${reconciliation.setHash}`,
    );
    const shown = (await steer(['describe', run.id])).stdout;
    expect(shown).toContain(run.approve);
    expect(shown).toContain(run.approve.replace('approve', 'reject'));
    expect(shown).toMatch(/^waits for +a signal: approve or reject$/m);
    expect((await steer(['start', 'reconciliation', '--key-type', 'CPF', '--wait'])).stdout).toContain(
      run.approve,
    );

    const decision = ['--by', 'ana', '--reason', 'ticket 1'];
    expectRefusal(
      await steer(['approve', run.id, ...decision, '--set', 'f'.repeat(64)]),
      1,
      'DV_SET_MISMATCH',
    );
    expect((await system.waitForRun(run.id, () => true)).status).toBe('WAITING');

    const approved = await steer([
      'approve',
      run.id,
      ...decision,
      '--set',
      reconciliation.setHash.toUpperCase(),
      '--json',
    ]);
    expect(approved).toMatchObject({ exitCode: 0, stderr: '' });
    expect(approved.json()).toMatchObject({ run: { id: run.id } });
    expect(await system.waitForClosed(run.id)).toMatchObject({ status: 'COMPLETED' });
    const after = (await steer(['describe', run.id])).stdout;
    expect(after).toContain('ana: ticket 1');
    expect(after).toContain('signalled: approve: ana: ticket 1');
    expectRefusal(await steer(['approve', run.id, ...decision]), 1, 'DV_RUN_NOT_WAITING');
  });

  it('it is rejected, and nothing is repaired', async () => {
    const { system, steer, run } = await waiting();
    const rejected = await steer(['reject', run.id, '--by', 'ana', '--reason', 'look first']);
    expect(rejected).toMatchObject({ exitCode: 0, stdout: `Run ${run.id} is rejected.\n` });
    expect(await system.waitForClosed(run.id)).toMatchObject({ status: 'REJECTED' });
    expect((await steer(['describe', run.id])).stdout).toMatch(/^keys corrected +0$/m);
  });
});
