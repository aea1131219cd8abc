import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { historyOf } from '../../../src/engine/index.ts';
import type { Operation } from '../../../src/simulator/index.ts';
import {
  changeLocally,
  childrenOf,
  divergences,
  expectBaseLikeDict,
  localBase,
  notifications,
  reconciliation,
} from '../../support/inspect.ts';
import { ISPB, isClosed, startSystem, type System } from '../../support/system.ts';

const OTHER = '00000002';
/** A file made after what happens while it is requested. */
const SLOW_FILE = { fileGenerationMs: 100 };
const NEW = { name: 'Zuleica Quintanilha' };

/** Lets something happen at the moment DICT answers an operation for the n-th time. */
function meanwhile({ dict }: System, operation: Operation, act: () => void, nth = 1): void {
  let answers = 0;
  dict.faults.on({
    kind: 'nonsense',
    operation,
    times: nth,
    change: (answer) => {
      if (++answers === nth) act();
      return answer;
    },
  });
}

const atDict = ({ dict }: System, { key }: Entry, changes: Partial<Entry> = NEW) =>
  dict.directory.updateEntry({ participant: ISPB, key }, changes);

async function expectNeverLeft({ pool }: System, cid: string): Promise<void> {
  const { rows } = await pool.query(`select from dict.cid_log where cid = decode($1, 'hex')`, [cid]);
  expect(rows).toHaveLength(0);
}

/** What DICT was sent and what it answered, oldest first. */
async function answers({ pool }: System): Promise<string[]> {
  const { rows } = await pool.query<{ result: string }>(
    'select result from dict.sync_verifications order by id',
  );
  return rows.map(({ result }) => result);
}

describe('a NOK counts only after three fresh reads', () => {
  it('a key that arrives between two reads: OK, and nothing is started', async () => {
    const system = await startSystem({ settings: { NOK_RECHECK_SECONDS: '0.3' } });
    const [entry] = system.entries as [Entry];
    atDict(system, entry);
    const local = Promise.withResolvers<void>();
    // The base follows DICT during the second NOK.
    meanwhile(
      system,
      'createSyncVerification',
      () => void changeLocally(system.pool, entry.key, NEW).then(local.resolve, local.reject),
      2,
    );
    const run = await system.verify();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await local.promise;
    expect(await answers(system)).toEqual(['NOK', 'NOK', 'OK']);
    expect(await childrenOf(system.pool, run)).toEqual({});
    const [summary] = (await notifications(system.pool)).filter(
      ({ type }) => type === 'verification.summary',
    );
    expect(summary).toMatchObject({ payload: { outcome: 'IN_SYNC' } });
    // The VSync was read again each time.
    const { rows } = await system.pool.query('select distinct vsync from dict.sync_verifications');
    expect(rows).toHaveLength(2);
  });

  it('the reads are apart in time, also when the types asked in between are in sync', async () => {
    const system = await startSystem({
      keyTypes: ['CNPJ', 'CPF', 'EMAIL'],
      keysPerType: 5,
      local: (entries) => entries.slice(1),
      settings: { NOK_RECHECK_SECONDS: '0.3' },
    });
    const run = await system.verify();
    const children = async () => Object.keys(await childrenOf(system.pool, run));
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await children()).toEqual([system.entries[0]!.keyType]);
    const asked = system.dict.ledger
      .calls('createSyncVerification')
      .filter(({ keyType }) => keyType === system.entries[0]!.keyType)
      .slice(0, 3)
      .map(({ at }) => at);
    expect(asked[1]! - asked[0]!).toBeGreaterThanOrEqual(290);
    expect(asked[2]! - asked[1]!).toBeGreaterThanOrEqual(290);
  });
});

describe('a key that DICT changes', () => {
  it('while the run waits for approval: its old CID is superseded, nothing of it is removed, the next round repairs it', async () => {
    const system = await startSystem({
      settings: { MANUAL_APPROVAL_THRESHOLD: '4' },
      local: (entries) => entries.map((entry, at) => (at < 5 ? { ...entry, name: 'Outro Nome' } : entry)),
    });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    const [entry] = system.entries as [Entry];
    const { cid } = system.dict.directory.find(entry.key)!;
    atDict(system, entry);
    const gaps = await watchKey(system, entry.key);
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    // New divergences need another approval.
    await system.waitForRun(run, ({ status, state }) => status === 'WAITING' && state === 'wait_approval');
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    const found = await divergences(system.pool, run);
    expect(found.find((row) => row.cid === cid)).toMatchObject({ round: 1, decision: 'SUPERSEDED' });
    expect(found.filter(({ decision }) => decision === 'REMOVED')).toEqual([]);
    expect(found.filter(({ round, key }) => round === 2 && key === entry.key)).toMatchObject([
      { decision: 'CORRECTED' },
      { decision: 'CORRECTED' },
    ]);
    expect(await gaps()).toBe(0);
  });

  it.each<Operation>(['createCidSetFile', 'downloadCidSetFile', 'listCidSetEvents', 'getEntryByCid'])(
    'during %s, with the base following a moment later: it is never reverted and never missing',
    async (operation) => {
      const system = await startSystem({ local: (entries) => entries.slice(3), simulator: SLOW_FILE });
      const changed = system.local[0]!;
      const gone = system.local[1]!;
      const local = Promise.withResolvers<void>();
      const act = () => {
        const { cid } = atDict(system, changed);
        system.dict.directory.deleteEntry({ participant: ISPB, key: gone.key });
        const follow = async () => {
          await changeLocally(system.pool, changed.key, NEW);
          await system.pool.query('update dict.entries set removed_at = now() where key = $1', [gone.key]);
          return cid;
        };
        follow().then(() => local.resolve(), local.reject);
      };
      if (operation === 'downloadCidSetFile') meanwhile(system, 'getCidSetFile', act);
      else meanwhile(system, operation, act);
      const run = await system.reconcile();
      expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
      await local.promise;
      // What was in flight may have arrived after the last round.
      expect(await system.waitForClosed(await system.reconcile())).toMatchObject({ status: 'COMPLETED' });
      await expectBaseLikeDict(system);
      await expectNeverLeft(system, system.dict.directory.find(changed.key)!.cid);
      expect((await localBase(system.pool)).has(gone.key)).toBe(false);
    },
  );
});

describe('a claim', () => {
  it('the donor loses the key: it disappears with confirmClaim, and belongs to nobody until completeClaim', async () => {
    const system = await startSystem();
    expect(await system.waitForClosed(await system.verify())).toMatchObject({ status: 'COMPLETED' });
    const [entry] = system.entries as [Entry];
    system.dict.directory.confirmClaim({ donor: ISPB, claimer: OTHER, key: entry.key });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await divergences(system.pool, run)).toMatchObject([
      { side: 'LOCAL_ONLY', key: entry.key, decision: 'REMOVED', before: { key: entry.key }, after: null },
    ]);
    await expectBaseLikeDict(system);
    system.dict.directory.completeClaim({ ...entry, participant: OTHER, requestId: crypto.randomUUID() });
    const after = await system.reconcile();
    expect(await system.waitForClosed(after)).toMatchObject({ status: 'COMPLETED' });
    expect(await divergences(system.pool, after)).toEqual([]);
    expect((await localBase(system.pool)).has(entry.key)).toBe(false);
  });

  it('confirmed while a reconciliation runs, it is in flight, and the base’s own removal stays', async () => {
    const system = await startSystem({ local: (entries) => entries.slice(3), simulator: SLOW_FILE });
    const claimed = system.local[0]!;
    meanwhile(system, 'createCidSetFile', () => {
      system.dict.directory.confirmClaim({ donor: ISPB, claimer: OTHER, key: claimed.key });
    });
    const local = Promise.withResolvers<void>();
    meanwhile(system, 'createSyncVerification', () => {
      system.pool
        .query('update dict.entries set removed_at = now() where key = $1', [claimed.key])
        .then(() => local.resolve(), local.reject);
    });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await local.promise;
    await expectBaseLikeDict(system);
    const mine = (await divergences(system.pool, run)).filter(
      ({ side, round }) => side === 'LOCAL_ONLY' && round === 1,
    );
    expect(mine).toMatchObject([{ decision: 'IN_FLIGHT', key: claimed.key }]);
    const { rows } = await system.pool.query(`select left_why from dict.cid_log where key = $1`, [
      claimed.key,
    ]);
    expect(rows).toEqual([{ left_why: 'removed' }]);
  });

  it('the claimer gains the key: added as DICT has it, with the RequestId of the claim', async () => {
    const system = await startSystem({ participants: [ISPB, OTHER], keysPerType: 20 });
    for (const ispb of [ISPB, OTHER]) {
      const { rows } = await system.pool.query<{ id: string }>('select dict.start_verification($1) as id', [
        ispb,
      ]);
      expect(await system.waitForClosed(rows[0]!.id)).toMatchObject({ status: 'COMPLETED' });
    }
    const theirs = system.entries.find(({ participant }) => participant === OTHER)!;
    system.dict.directory.confirmClaim({ donor: OTHER, claimer: ISPB, key: theirs.key });
    const requestId = crypto.randomUUID();
    system.dict.directory.completeClaim({ ...theirs, participant: ISPB, requestId });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await divergences(system.pool, run)).toMatchObject([
      { side: 'DICT_ONLY', key: theirs.key, decision: 'ADDED', before: null, after: { requestId } },
    ]);
    expect((await localBase(system.pool)).get(theirs.key)).toMatchObject({ requestId });
  });
});

describe('what is in flight', () => {
  it('it arrives before it is looked at again, because the next round waits for the margin', async () => {
    const system = await startSystem({ settings: { IN_FLIGHT_MARGIN_SECONDS: '1.5' } });
    const [entry] = system.entries as [Entry];
    await changeLocally(system.pool, entry.key, NEW);
    // DICT follows at the third NOK, which then counts.
    meanwhile(system, 'createSyncVerification', () => void atDict(system, entry), 3);
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    const past = await historyOf(system.pool, run);
    const nok = past.find(({ outcome }) => outcome === 'nok');
    const again = past.filter(({ state, event }) => state === 'snapshot' && event === 'STARTED').at(-1);
    expect(nok!.detail).toMatchObject({ inFlight: 2 });
    expect(again!.at.getTime() - nok!.at.getTime()).toBeGreaterThanOrEqual(1490);
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 2, corrected: 0, inFlight: 1 });
  });
});

describe('a CID that DICT fails on again and again', () => {
  it('with every kind of divergence beside it: all are repaired that can be, and Core-Dict receives what is left', async () => {
    const system = await startSystem({ divergent: 9 });
    const here = new Set(system.local.map(({ key }) => key));
    const missing = system.entries.find(({ key }) => !here.has(key))!;
    const { cid } = system.dict.directory.find(missing.key)!;
    system.dict.faults.on({ kind: 'problem', status: 500, operation: 'getEntryByCid', cid });
    const run = await system.reconcile();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      added: system.plan.CPF.dictOnly - 1,
      // Each of them could be the other half of the CID that DICT does not show.
      removed: 0,
      corrected: system.plan.CPF.changed,
    });
    const published = (await notifications(system.pool)).find(
      ({ type }) => type === 'reconciliation.complete',
    );
    expect(published).toMatchObject({
      payload: {
        runId: run,
        summary: {
          outcome: 'COMPLETED_WITH_QUARANTINE',
          quarantined: 1,
          keysUnsure: system.plan.CPF.localOnly,
        },
      },
    });
    const aside = (await divergences(system.pool, run)).filter(({ decision }) => decision === 'QUARANTINED');
    expect(aside).toMatchObject([{ cid, side: 'DICT_ONLY' }]);
  });
});

/** How often the key is missing from the base, from now on. */
async function watchKey({ pool }: System, key: string): Promise<() => Promise<number>> {
  const { rows } = await pool.query<{ last: string | null }>('select max(id) as last from dict.cid_log');
  return async () => {
    const { rows: left } = await pool.query(
      `select from dict.cid_log l where key = $1 and id > $2 and not exists (
         select from dict.cids c where c.key = l.key and c.came_at <= l.left_at and coalesce(c.left_at, 'infinity') > l.left_at)`,
      [key, rows[0]?.last ?? 0],
    );
    return left.length;
  };
}
