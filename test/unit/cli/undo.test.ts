import { describe, expect, it } from 'vitest';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { expectBaseLikeDict } from '../../support/inspect.ts';
import { ISPB, type System } from '../../support/system.ts';
import { heldNow, quickSystem, stateOf } from '../../system/undo/support.ts';
import { cli, expectRefusal } from './support.ts';

const on = (system: System) => (args: readonly string[]) =>
  cli(args, { env: { DATABASE_URL: system.url, PARTICIPANT_ISPB: system.participant } });

describe('undo, held, release', () => {
  it('they put a repair back, list the held keys, and let them be repaired again', async () => {
    const system = await quickSystem({ divergent: 6 });
    const before = await stateOf(system);
    const steer = on(system);
    const run = await system.reconcile();
    await system.waitForClosed(run);

    const undo = await steer(['undo', 'reconciliation:12345678:CPF', '--by', 'ana', '--wait', '--json']);
    expect(undo.exitCode).toBe(0);
    const { run: ended, undo: summary } = undo.json<{
      run: { id: string; status: string; startedBy: string };
      undo: Record<string, unknown>;
    }>();
    expect(ended).toMatchObject({ status: 'COMPLETED', startedBy: 'ana' });
    expect(summary).toMatchObject({ undoneRun: run, by: 'ana', reason: null, keysUndone: 6, keysLeft: 0 });
    expect(await stateOf(system)).toEqual(before);
    expectRefusal(await steer(['undo', run]), 1, 'DV_ALREADY_UNDONE');
    expect((await steer(['describe', ended.id])).stdout).toMatch(/^keys put back +6 /m);

    const listed = (await steer(['held', '--json'])).json<{ held: number; keys: { key: string }[] }>();
    expect(listed.held).toBe(6);
    expect(listed.keys.map(({ key }) => key).sort()).toEqual(await heldNow(system));
    const [first] = listed.keys;
    const text = (await steer(['held', '--limit', '1'])).stdout;
    expect(text).toContain(first!.key);
    expect(text).toMatch(/^6 in all\.$/m);
    expect((await steer(['held', '--key-type', 'EVP'])).stdout).toBe('No key is held.\n');

    expectRefusal(await steer(['release', '--by', 'bia']), 2, 'DV_RELEASE_UNNAMED');
    expectRefusal(await steer(['release', '--by', 'bia', '--key', 'k', '--run', run]), 2, 'DV_USAGE');
    const one = await steer(['release', '--by', 'bia', '--key', first!.key, '--json']);
    expect(one.json()).toEqual({ released: 1 });
    expect((await steer(['release', '--by', 'bia', '--run', ended.id])).stdout).toBe(
      '5 keys are released.\n',
    );
    await system.waitForClosed(await system.reconcile());
    await expectBaseLikeDict(system);
  });
});

describe('approve', () => {
  const lost = [...generateKeyBase({ participant: ISPB, keyTypes: ['CPF'], keysPerType: 2, seed: 99 })];

  async function waiting(): Promise<{ system: System; run: string; steer: ReturnType<typeof on> }> {
    const system = await quickSystem({
      keysPerType: 10,
      local: (entries) => [...entries, ...lost],
      settings: { MANUAL_APPROVAL_THRESHOLD: '0' },
    });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    return { system, run, steer: on(system) };
  }

  it('with --register it registers all local-only keys at DICT, if the set is the one that was looked at', async () => {
    const { system, run, steer } = await waiting();
    const decide = ['approve', run, '--by', 'ana', '--reason', 'lost', '--register', '--set'];
    expectRefusal(await steer([...decide, 'f'.repeat(64)]), 1, 'DV_SET_MISMATCH');
    const described = await steer(['describe', run, '--json']);
    const { reconciliation } = described.json<{ reconciliation: { setHash: string } }>();
    const approved = await steer([...decide, reconciliation.setHash]);
    expect(approved.exitCode).toBe(0);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(system.dict.ledger.count('createEntry')).toBe(2);
    expect((await steer(['describe', run])).stdout).toMatch(/^keys registered +2 /m);
  });

  it('with --register-key it registers those, and approves nothing when one of them does not exist', async () => {
    const { system, run, steer } = await waiting();
    const decide = ['approve', run, '--by', 'ana', '--reason', 'lost', '--register-key'];
    expectRefusal(
      await steer([...decide, lost[0]!.key, '--register-key', '00000000000']),
      1,
      'DV_KEY_NOT_IN_SET',
    );
    expect(await system.waitForRun(run, () => true)).toMatchObject({ status: 'WAITING' });
    await steer([...decide, lost[0]!.key]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(system.dict.directory.find(lost[0]!.key)).toBeDefined();
    expect(system.dict.directory.find(lost[1]!.key)).toBeUndefined();
    await expectBaseLikeDict(system);
  });
});
