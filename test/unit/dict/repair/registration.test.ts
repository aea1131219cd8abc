import { describe, expect, it } from 'vitest';
import { registerPlanned } from '../../../../src/dict/repair/registration.ts';
import { pendingDivergences } from '../../../../src/dict/repair/repair-lookup.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { advanceClock } from '../../../support/clock.ts';
import { CALL } from '../../bridge/support.ts';
import { keys, stored } from '../entry/entries.ts';
import { beginRound, hex, KEY_TYPE, type RepairRound } from './repair-support.ts';

const database = useTestDatabase();
const [extra, ...others] = keys(KEY_TYPE, 4);

/** A round with one local-only key that a person wants registered. */
async function planned(): Promise<RepairRound & { register(): ReturnType<typeof registerPlanned> }> {
  const begun = await beginRound(database.pool, { dict: others, local: [extra!, ...others] });
  await database.pool.query(
    `update dict.divergences set plan = 'REGISTER', plan_by = 'ana', plan_why = 'lost' where run_id = $1`,
    [begun.runId],
  );
  const { bridge, scope, runId, round, find } = begun;
  return {
    ...begun,
    // What the step of the repair does before its transaction; a worker that died repeats all of it.
    async register() {
      const pending = await pendingDivergences(database.pool, runId, round, 200);
      return registerPlanned(database.pool, bridge, scope, pending, await find(), CALL);
    },
  };
}

async function keptId(runId: string): Promise<string | null> {
  const { rows } = await database.pool.query<{ id: string | null }>(
    'select register_request_id as id from dict.divergences where run_id = $1',
    [runId],
  );
  return rows[0]!.id;
}

/** Both sides have the key once, with the kept RequestId, and nothing differs. */
async function expectRegisteredOnce({ dict, runId }: RepairRound): Promise<void> {
  const requestId = await keptId(runId);
  const atDict = dict.directory.find(extra!.key)!;
  expect(atDict.entry).toEqual({ ...extra, requestId });
  expect(requestId).not.toBe(extra!.requestId);
  const here = (await stored(database.pool)).filter(({ removed }) => !removed).map(({ cid }) => cid);
  expect(here.toSorted()).toEqual(
    [...dict.directory.set(atDict.entry.participant, KEY_TYPE).cids()].toSorted(),
  );
  const added = dict.directory.set(atDict.entry.participant, KEY_TYPE).list(0, Infinity, Infinity, Infinity);
  expect(added.events.map(({ type, cid }) => ({ type, cid }))).toEqual([{ type: 'ADDED', cid: atDict.cid }]);
}

describe('a worker that dies while it registers a key leaves one entry at DICT, equal to the local one', () => {
  it('after it kept the RequestId and before it called', async () => {
    const round = await planned();
    round.dict.faults.on({ kind: 'problem', operation: 'createEntry', status: 503, times: 1 });
    expect((await round.register()).brokenOffBy).toMatchObject({ code: 'DV_BRIDGE_UNAVAILABLE' });
    const kept = await keptId(round.runId);
    expect(kept).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    await round.apply((await round.register()).findings);
    expect(await keptId(round.runId)).toBe(kept);
    await expectRegisteredOnce(round);
    expect(await round.decisions()).toEqual(['LOCAL_ONLY REGISTERED']);
  });

  it('after it called and before the answer came', async () => {
    const round = await planned();
    round.dict.faults.on({ kind: 'hang', operation: 'createEntry', times: 1 });
    const died = new AbortController();
    const pending = await pendingDivergences(database.pool, round.runId, round.round, 200);
    const dying = registerPlanned(database.pool, round.bridge, round.scope, pending, await round.find(), {
      ...CALL,
      signal: died.signal,
    });
    await expect.poll(() => round.dict.directory.find(extra!.key)).toBeDefined();
    died.abort();
    expect((await dying).findings).toEqual([]);
    await round.apply((await round.register()).findings);
    await expectRegisteredOnce(round);
    expect(round.dict.ledger.count('createEntry')).toBe(2);
  });

  it('after the answer and before the transaction, however much later it continues', async () => {
    const round = await planned();
    await round.register();
    await advanceClock(database.pool, '1 hour');
    const { findings } = await round.register();
    expect(findings).toMatchObject([{ says: 'REGISTERED', entry: { key: extra!.key } }]);
    const changes = await round.apply(findings);
    await expectRegisteredOnce(round);
    expect(round.dict.ledger.count('createEntry')).toBe(1);
    const { cid } = round.dict.directory.find(extra!.key)!;
    expect(changes).toMatchObject([
      {
        decision: 'REGISTERED',
        before: { cid: hex(extra!) },
        after: { cid, requestId: await keptId(round.runId) },
      },
    ]);
  });
});

it('a key that changed locally after it was registered is left as it is, and the next comparison finds it', async () => {
  const round = await planned();
  const { findings } = await round.register();
  await database.pool.query('update dict.entries set name = $2 where key = $1', [extra!.key, 'Zuleica Melo']);
  await round.apply(findings);
  expect(await round.divergences()).toMatchObject([
    { decision: 'REGISTERED', why: expect.stringContaining('changed locally') as string },
  ]);
  const next = await round.next();
  await next.repair();
  expect(await next.decisions()).toEqual(['DICT_ONLY CORRECTED', 'LOCAL_ONLY CORRECTED']);
});
