import { describe, expect, it } from 'vitest';
import { lookUp, pendingDivergences } from '../../../../src/dict/repair/repair-lookup.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { CALL } from '../../bridge/support.ts';
import { keys, stored } from '../entry/entries.ts';
import { KEY_TYPE, beginRound, hex } from './repair-support.ts';
import { advanceClock } from '../../../support/clock.ts';

const database = useTestDatabase();
const atDict = keys(KEY_TYPE, 100);
const advance = async (by: string) => advanceClock(database.pool, by);

/** A round of which half was looked up by a worker that died before it applied anything. */
async function halfLookedUp() {
  const begun = await beginRound(database.pool, { dict: atDict, local: [] });
  const { bridge, dict, scope, runId, round } = begun;
  const half = await pendingDivergences(database.pool, runId, round, 50);
  const { findings } = await lookUp(database.pool, bridge, scope, half, CALL);
  expect(findings).toHaveLength(50);
  expect(dict.ledger.count('getEntryByCid')).toBe(50);
  return { ...begun, half: half.map(({ cid }) => cid.toString('hex')) };
}

describe('a worker that dies in the middle of its lookups', () => {
  it('it loses nothing of what was fetched, and another worker asks DICT for the rest only', async () => {
    const { dict, half, repair } = await halfLookedUp();
    await advance('50 seconds');
    expect(await repair()).toHaveLength(100);
    const asked = dict.ledger.calls('getEntryByCid').map(({ cid }) => cid);
    expect(asked).toHaveLength(100);
    expect(new Set(asked).size).toBe(100);
    expect(asked.slice(50).filter((cid) => half.includes(cid!))).toEqual([]);
    expect((await stored(database.pool)).map(({ key }) => key)).toEqual(
      atDict.map(({ key }) => key).toSorted(),
    );
  });

  it("when it comes back a minute later, DICT's answers are too old, and it asks again", async () => {
    const { dict, repair } = await halfLookedUp();
    await advance('61 seconds');
    expect(await repair()).toHaveLength(100);
    expect(dict.ledger.count('getEntryByCid')).toBe(150);
  });

  it('it loses at most what it had not written down yet', async () => {
    const { bridge, dict, scope, runId, round, repair } = await beginRound(database.pool, {
      dict: atDict,
      local: [],
    });
    // The 60th lookup and all after it never return: findings are written 25 at a time.
    let calls = 0;
    dict.faults.on({
      kind: 'nonsense',
      operation: 'getEntryByCid',
      change: (answer) => {
        if (++calls === 60) dict.faults.on({ kind: 'hang', operation: 'getEntryByCid' });
        return answer;
      },
    });
    const died = lookUp(
      database.pool,
      bridge,
      scope,
      await pendingDivergences(database.pool, runId, round, 200),
      { ...CALL, timeoutMs: 60_000 },
    );
    died.catch(() => undefined);
    const written = async () => {
      const { rowCount } = await database.pool.query(
        'select from dict.divergences where run_id = $1 and finding is not null',
        [runId],
      );
      return rowCount ?? 0;
    };
    await expect.poll(written).toBeGreaterThanOrEqual(50);
    await expect.poll(() => dict.ledger.count('getEntryByCid')).toBeGreaterThanOrEqual(60);
    const kept = await written();
    const before = dict.ledger.count('getEntryByCid');
    dict.faults.clear();
    expect(await repair()).toHaveLength(100);
    expect(dict.ledger.count('getEntryByCid') - before).toBe(100 - kept);
  });
});

describe('DICT fails with 500', () => {
  const fail = { kind: 'problem', status: 500, operation: 'getEntryByCid' } as const;

  it('on one CID: it is asked for three times and quarantined with DICT’s correlation id, the rest is repaired', async () => {
    const { dict, repair, divergences } = await beginRound(database.pool, { dict: atDict, local: [] });
    const bad = hex(atDict[3]!);
    dict.faults.on({ ...fail, cid: bad });
    const { changes } = await repeatedly(repair);
    expect(changes).toHaveLength(99);
    const asked = dict.ledger.calls('getEntryByCid').filter(({ cid }) => cid === bad);
    expect(asked.map(({ status }) => status)).toEqual([500, 500, 500]);
    const aside = (await divergences()).filter(({ decision }) => decision === 'QUARANTINED');
    expect(aside).toMatchObject([
      {
        cid: bad,
        why: 'DICT had an internal error (500) each time it was asked about this CID',
        correlationId: asked.at(-1)!.correlationId,
      },
    ]);
  });

  it('on all CIDs: that is an outage, nothing is quarantined, and all is repaired once it is over', async () => {
    const { dict, find, repair, decisions } = await beginRound(database.pool, { dict: atDict, local: [] });
    const outage = dict.faults.on(fail);
    for (let attempt = 0; attempt < 4; attempt++) {
      await expect(find()).rejects.toMatchObject({ code: 'DV_DICT_INTERNAL', class: 'retryable' });
    }
    expect(new Set(await decisions())).toEqual(new Set(['DICT_ONLY PENDING']));
    outage.off();
    expect(await repair()).toHaveLength(100);
    expect(new Set(await decisions())).toEqual(new Set(['DICT_ONLY ADDED']));
  });

  it('on the few that are pending and on every other CID: that is an outage too, however few they are', async () => {
    const [missing, ...both] = keys(KEY_TYPE, 3);
    const { dict, find, repair, decisions } = await beginRound(database.pool, {
      dict: [missing!, ...both],
      local: both,
    });
    const outage = dict.faults.on(fail);
    for (let attempt = 0; attempt < 4; attempt++) {
      await expect(find()).rejects.toMatchObject({ code: 'DV_DICT_INTERNAL', class: 'retryable' });
    }
    const asked = dict.ledger.calls('getEntryByCid').map(({ cid }) => cid);
    expect(asked.filter((cid) => cid !== hex(missing!)).every((cid) => both.map(hex).includes(cid!))).toBe(
      true,
    );
    outage.off();
    expect(await repair()).toHaveLength(1);
    expect(await decisions()).toEqual(['DICT_ONLY ADDED']);
  });

  it('on all that are pending, but not on others: they are quarantined', async () => {
    const [bad, good] = keys(KEY_TYPE, 2);
    for (const local of [[good!], []]) {
      const { dict, repair, decisions } = await beginRound(database.pool, { dict: [bad!, ...local], local });
      dict.faults.on({ ...fail, cid: hex(bad!) });
      await repeatedly(repair);
      expect(await decisions()).toEqual(['DICT_ONLY QUARANTINED']);
    }
  });

  it('on one CID, twice: the third answer counts', async () => {
    const { dict, repair, decisions } = await beginRound(database.pool, { dict: atDict, local: [] });
    dict.faults.on({ ...fail, cid: hex(atDict[3]!), times: 2 });
    const { changes } = await repeatedly(repair);
    expect(changes).toHaveLength(100);
    expect(new Set(await decisions())).toEqual(new Set(['DICT_ONLY ADDED']));
  });

  /** `repair` ends when a look brings nothing: with a CID that fails that is not the end. */
  async function repeatedly(repair: () => Promise<unknown[]>): Promise<{ changes: unknown[] }> {
    const changes: unknown[] = [];
    for (let look = 0; look < 4; look++) changes.push(...(await repair()));
    return { changes };
  }
});
