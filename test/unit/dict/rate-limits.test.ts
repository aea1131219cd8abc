import type { Pool } from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Bridge } from '../../../src/bridge/index.ts';
import { createPool } from '../../../src/database/pool.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { limitedBridge, seedRateLimits } from '../../../src/dict/rate-limits/rate-limits.ts';
import type { DvError } from '../../../src/errors/dv-error.ts';
import { CALL, bridgeWithDict, failure } from '../bridge/support.ts';
import { useRateLimits } from './rate-limits-support.ts';
import { ISPB } from './entry/entries.ts';
import { advanceClock } from '../../support/clock.ts';

const { database, buckets, bucket } = useRateLimits();

const advance = async (by: string) => advanceClock(database.pool, by);

/** Seconds from the database's now. */
async function secondsUntil(time: Date | undefined): Promise<number> {
  const { rows } = await database.pool.query<{ s: number }>(
    'select extract(epoch from $1::timestamptz - workflow.now())::float8 as s',
    [time],
  );
  return rows[0]!.s;
}

/** A second pool, as another worker has. */
function anotherPool(): Pool {
  const pool = createPool(database.url, { max: 8 });
  onTestFinished(async () => pool.end());
  return pool;
}

const list = async (bridge: Bridge, participant = ISPB) =>
  bridge.listCidSetEvents({ participant, keyType: 'CPF' }, CALL);

describe('taking tokens', () => {
  it('two workers share the buckets, and their simultaneous calls never exceed them', async () => {
    const { bridge, dict } = await bridgeWithDict();
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const workers = [limitedBridge(bridge, database.pool), limitedBridge(bridge, anotherPool())];
    const answers = await Promise.allSettled(
      Array.from({ length: 150 }, async (_, call) => list(workers[call % 2]!)),
    );
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(100);
    expect(dict.ledger.calls('listCidSetEvents').map(({ status }) => status)).toEqual(
      Array.from({ length: 100 }, () => 200),
    );
    for (const answer of answers) {
      if (answer.status === 'fulfilled') continue;
      const error = answer.reason as DvError;
      expect(error).toMatchObject({ code: 'DV_DICT_RATE_LIMITED', class: 'rate_limited' });
      const seconds = await secondsUntil(error.retryAt);
      expect(seconds).toBeGreaterThan(50);
      expect(seconds).toBeLessThanOrEqual(60);
    }
  });

  it('a bucket refills by whole periods, up to the capacity', async () => {
    const { bridge } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    await Promise.all(Array.from({ length: 100 }, async () => list(limited)));
    await advance('58 seconds');
    expect(await failure(list(limited))).toMatchObject({ code: 'DV_DICT_RATE_LIMITED' });
    await advance('2 seconds');
    await list(limited);
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 19 });
    await advance('119 seconds');
    await list(limited);
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 38 });
    await advance('2 hours');
    await list(limited);
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 99 });
  });

  it("participants don't share", async () => {
    const { bridge } = await bridgeWithDict({ limits: 'off' });
    for (const ispb of [ISPB, '00000001']) await seedRateLimits(database.pool, bridge, ispb, CALL);
    const limited = limitedBridge(bridge, database.pool);
    await Promise.all(Array.from({ length: 100 }, async () => list(limited)));
    await failure(list(limited));
    await list(limited, '00000001');
    expect((await buckets('00000001'))['CIDS_EVENTS_LIST']).toMatchObject({ tokens: 99 });
  });

  it('a call that fails has used up its token all the same', async () => {
    const { bridge, dict } = await bridgeWithDict();
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 503, times: 1 });
    await failure(list(limitedBridge(bridge, database.pool)));
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 99 });
  });

  it('a participant without buckets is not limited here', async () => {
    const { bridge } = await bridgeWithDict();
    await list(limitedBridge(bridge, database.pool));
  });
});

describe("DICT's 429", () => {
  it('it empties the local bucket: nobody asks again before a whole period has passed', async () => {
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 429, times: 1 });
    const error = await failure(list(limited));
    expect(error).toMatchObject({ code: 'DV_DICT_RATE_LIMITED', class: 'rate_limited' });
    // The correlation id is DICT's.
    expect(error.correlationId).toBe(dict.ledger.calls('listCidSetEvents')[0]!.correlationId);
    expect(await secondsUntil(error.retryAt)).toBeGreaterThan(58);
    await failure(list(limitedBridge(bridge, anotherPool())));
    await advance('58 seconds');
    await failure(list(limited));
    expect(dict.ledger.count('listCidSetEvents')).toBe(1);
    await advance('2 seconds');
    await list(limited);
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 19 });
  });

  it('for createCidSetFile, 40 a day, it waits for one token: 36 minutes, not the day', async () => {
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    const create = async () => limited.createCidSetFile({ participant: ISPB, keyType: 'CPF' }, CALL);
    dict.faults.on({ kind: 'problem', operation: 'createCidSetFile', status: 429, times: 1 });
    expect(await secondsUntil((await failure(create())).retryAt)).toBeCloseTo(36 * 60, -1);
    await advance('35 minutes');
    expect(await secondsUntil((await failure(create())).retryAt)).toBeLessThan(61);
    expect(dict.ledger.count('createCidSetFile')).toBe(1);
    await advance('1 minute');
    await create();
    // The first token is used up; then they come one by one, and never more than a day's.
    expect(await secondsUntil((await failure(create())).retryAt)).toBeCloseTo(36 * 60, -1);
    await advance('1 day');
    await create();
    expect(await bucket('CIDS_FILES_WRITE')).toMatchObject({ tokens: 39 });
  });

  it('it keeps Retry-After, also when the clock differs from this machine’s', async () => {
    await advance('5 hours');
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    const busy = { kind: 'problem', operation: 'listCidSetEvents', status: 429, times: 1 } as const;
    dict.faults.on({ ...busy, retryAfterSec: 300 });
    const error = await failure(list(limited));
    expect(await secondsUntil(error.retryAt)).toBeGreaterThan(295);
    await advance('290 seconds');
    expect(await secondsUntil((await failure(list(limited))).retryAt)).toBeLessThan(11);
    expect(dict.ledger.count('listCidSetEvents')).toBe(1);
    await advance('10 seconds');
    await list(limited);
  });

  it('a 503’s Retry-After is kept in the database’s time too, and takes no other token from the bucket', async () => {
    await advance('5 hours');
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 503, retryAfterSec: 40 });
    const error = await failure(list(limitedBridge(bridge, database.pool)));
    expect(error).toMatchObject({ code: 'DV_BRIDGE_UNAVAILABLE', class: 'retryable' });
    const seconds = await secondsUntil(error.retryAt);
    expect(seconds).toBeGreaterThan(35);
    expect(seconds).toBeLessThanOrEqual(40);
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 99 });
  });

  it('a second one without Retry-After does not shorten the wait that the first one asked for', async () => {
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    const busy = { kind: 'problem', operation: 'listCidSetEvents', status: 429, times: 1 } as const;
    // Two simultaneous calls: the first one's answer comes last.
    dict.faults.on({ kind: 'delay', operation: 'listCidSetEvents', delayMs: 150, times: 1 });
    dict.faults.on(busy);
    const slow = failure(list(limited));
    await expect.poll(async () => (await bucket('CIDS_EVENTS_LIST')).tokens).toBe(99);
    dict.faults.on({ ...busy, retryAfterSec: 300 });
    await failure(list(limited));
    await slow;
    expect(await secondsUntil((await failure(list(limited))).retryAt)).toBeGreaterThan(200);
  });
});

describe('polling for files', () => {
  it('it stays within 10 in any 60 seconds for all five types together, and says when to ask again', async () => {
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    const files = await Promise.all(
      KEY_TYPES.map(
        async (keyType) => (await limited.createCidSetFile({ participant: ISPB, keyType }, CALL)).id,
      ),
    );
    /** The seconds at which a poll was allowed. */
    const polls: number[] = [];
    for (let second = 0; second < 400; second += 7) {
      for (const id of files) {
        const before = dict.ledger.count('getCidSetFile');
        await limited.getCidSetFile({ participant: ISPB, id }, CALL).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'DV_DICT_RATE_LIMITED' });
        });
        if (dict.ledger.count('getCidSetFile') > before) polls.push(second);
      }
      await advance('7 seconds');
    }
    expect(polls.length).toBeGreaterThanOrEqual(30);
    for (const start of polls) {
      expect(polls.filter((at) => at >= start && at < start + 60).length).toBeLessThanOrEqual(10);
    }
  });
});
