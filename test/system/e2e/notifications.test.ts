import { describe, expect, it, vi } from 'vitest';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import {
  childrenOf,
  divergences,
  received,
  notifications,
  reconciliation,
  type Shown,
} from '../../support/inspect.ts';
import { ISPB, startSystem } from '../../support/system.ts';

interface Change {
  decision: string;
  key: string;
  before: Shown | null;
  after: Shown | null;
}

describe('Core-Dict receives', () => {
  it('the messages of a mixed night: each sequence without gaps, each run in causal order', async () => {
    const system = await startSystem({
      keyTypes: KEY_TYPES,
      divergent: 6,
      settings: { MANUAL_APPROVAL_THRESHOLD: '5' },
      simulator: { speed: 60 },
    });
    const verification = await system.verify();
    await system.waitForClosed(verification);
    const children = await childrenOf(system.pool, verification);
    for (const [keyType, run] of Object.entries(children)) {
      await system.waitForRun(run, ({ status }) => status === 'WAITING');
      const decision = keyType === 'EVP' ? 'reject' : 'approve';
      await system.pool.query(`select dict.${decision}_reconciliation($1, 'ana', 'because')`, [run]);
    }
    for (const run of Object.values(children)) await system.waitForClosed(run);
    const again = await system.verify();
    await system.waitForClosed(again);
    const repeated = (await childrenOf(system.pool, again)).EVP!;
    await system.waitForRun(repeated, ({ status }) => status === 'WAITING');

    const all = await notifications(system.pool);
    for (const keyType of [...KEY_TYPES, 'ALL']) {
      const sequence = all.filter((sent) => sent.keyType === keyType).map((sent) => sent.sequence);
      expect(sequence).toEqual(sequence.map((_, at) => at + 1));
    }
    expect(all.filter(({ keyType }) => keyType === 'ALL')).toHaveLength(2);
    const asked = ['reconciliation.notification STARTED', 'reconciliation.notification APPROVAL_NEEDED'];
    for (const keyType of KEY_TYPES) {
      expect(await received(system.pool, children[keyType]!)).toEqual(
        keyType === 'EVP'
          ? [...asked, 'reconciliation.notification REJECTED']
          : [...asked, 'reconciliation.changes', 'reconciliation.complete'],
      );
    }
    // The rejected run's messages come before those of the next.
    expect(all.filter(({ keyType }) => keyType === 'EVP').map(({ payload }) => payload['runId'])).toEqual([
      ...Array<string>(3).fill(children.EVP!),
      ...Array<string>(2).fill(repeated),
    ]);
  });

  it('what a repair changed, with the entries before and after', async () => {
    const system = await startSystem({ divergent: 9 });
    const run = await system.reconcile();
    await system.waitForClosed(run);
    const sent = (await notifications(system.pool)).filter(({ type }) => type === 'reconciliation.changes');
    const changes = sent.flatMap(({ payload }) => payload['changes'] as unknown as Change[]);
    const { dictOnly, localOnly, changed } = system.plan.CPF;
    expect(changes).toHaveLength(dictOnly + localOnly + changed);
    const before = new Map(system.local.map((entry) => [entry.key, entry]));
    for (const change of changes) {
      const inDict = system.dict.directory.find(change.key);
      const was = before.get(change.key);
      expect(change.decision).toBe(
        was === undefined ? 'ADDED' : inDict === undefined ? 'REMOVED' : 'CORRECTED',
      );
      expect(change.before?.name).toBe(was?.name);
      expect(change.before?.accountNumber).toBe(was?.accountNumber);
      expect(change.after?.cid).toBe(inDict?.cid);
      expect(change.after?.name).toBe(inDict?.entry.name);
    }
    const decided = new Set((await divergences(system.pool, run)).map(({ key }) => key));
    expect(new Set(changes.map(({ key }) => key))).toEqual(decided);

    const [last] = (await notifications(system.pool)).slice(-1);
    const { added, corrected, removed } = await reconciliation(system.pool, run);
    expect(last).toMatchObject({
      type: 'reconciliation.complete',
      payload: {
        runId: run,
        summary: { outcome: 'COMPLETED', keysAdded: added, keysCorrected: corrected, keysRemoved: removed },
      },
    });
  });

  it('a NOTIFY for each message, which carries no content', async () => {
    const system = await startSystem({ divergent: 3 });
    const listener = await system.pool.connect();
    const announced: string[] = [];
    listener.on('notification', ({ payload }) => announced.push(payload ?? ''));
    await listener.query('listen dict_vsync');
    const run = await system.reconcile();
    await system.waitForClosed(run);
    const sent = await notifications(system.pool);
    await vi.waitFor(() => expect(announced).toHaveLength(sent.length));
    listener.release(true);
    expect(announced.map((text) => JSON.parse(text) as object)).toEqual(
      sent.map(({ sequence, type }) => ({
        id: expect.any(String) as unknown,
        participant: ISPB,
        keyType: 'CPF',
        sequence,
        type,
      })),
    );
  });
});
