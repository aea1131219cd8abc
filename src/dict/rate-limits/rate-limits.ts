import type { Logger } from 'pino';
import type { Bridge, CallOptions, Policy } from '../../bridge/index.ts';
import { translateDatabaseErrors } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { KEY_TYPES } from '../entry/key-type.ts';
import { BACEN_POLICIES } from './bacen-policies.ts';
import type { Db } from '../vsync/vsync-store.ts';
import { one } from '../../errors/rows.ts';

/** Valid until ListPolicies says otherwise: a bucket that nobody has used is full. */
const PUBLISHED: readonly Policy[] = Object.values(BACEN_POLICIES)
  .filter(({ name }) => name !== BACEN_POLICIES.listPolicies.name)
  .map((policy) => ({ ...policy, availableTokens: policy.capacity }));
const {
  createSyncVerification,
  createCidSetFile,
  getCidSetFile,
  listCidSetEvents,
  getEntryByCid,
  createEntry,
} = BACEN_POLICIES;

/**
 * Our own limit for getCidSetFile: half a refill as the capacity and half as the refill, so it never exceeds DICT's 10
 * a minute.
 */
const FILE_POLL = 'FILE_POLL';

/** CID files that automatic retries leave for the reconciliations of the next tick: three for each key type. */
const RESERVED_FILES = 3 * KEY_TYPES.length;

/** How many CID files automatic retries may request now. */
export async function filesToSpare(db: Db, participant: string): Promise<number> {
  const { rows } = await db.query<{ left: number | null }>('select dict.tokens_left($1, $2) as left', [
    participant,
    createCidSetFile.name,
  ]);
  return (one(rows).left ?? Infinity) - RESERVED_FILES;
}

/**
 * Creates the token buckets of a participant from DICT's answer (ListPolicies), or else from BACEN's published numbers.
 * A Bridge without ListPolicies, or one that fails now, does not cause an error.
 */
export async function seedRateLimits(
  db: Db,
  bridge: Bridge,
  participant: string,
  call: CallOptions,
  log?: Logger,
): Promise<void> {
  let policies = PUBLISHED;
  let fromDict = false;
  try {
    const known = new Set(PUBLISHED.map(({ name }) => name));
    const all = await bridge.listPolicies({ participant }, call);
    const listed = all.filter(({ name }) => known.has(name));
    if (listed.length > 0) [policies, fromDict] = [listed, true];
    const ignored = all.length - listed.length;
    log?.debug(
      { participant, ignored },
      'DICT lists policies of operations that are not called here: ignored',
    );
  } catch (error) {
    if (!(error instanceof DvError)) throw error;
    log?.info({ participant, code: error.code }, "BACEN's published limits apply: DICT's own cannot be read");
  }
  const files = policies.find(({ name }) => name === getCidSetFile.name);
  const half = Math.max(1, Math.floor((files?.refillTokens ?? getCidSetFile.refillTokens) / 2));
  const poll: Policy = {
    name: FILE_POLL,
    capacity: half,
    refillTokens: half,
    refillPeriodSec: files?.refillPeriodSec ?? getCidSetFile.refillPeriodSec,
    availableTokens: half,
  };
  for (const { name, capacity, refillTokens, refillPeriodSec, availableTokens } of [...policies, poll]) {
    await db.query(`select dict.seed_rate_limit($1, $2, $3, $4, $5 * interval '1 second', $6, $7)`, [
      participant,
      name,
      capacity,
      refillTokens,
      refillPeriodSec,
      availableTokens,
      fromDict,
    ]);
  }
}

/**
 * A Bridge that respects the participant's token buckets, which all workers share. Each call first takes its token, in
 * a transaction of its own; without one it fails with DV_DICT_RATE_LIMITED and the time of the next attempt. A 429
 * empties the local token bucket.
 */
export function limitedBridge(bridge: Bridge, db: Db): Bridge {
  const limited = async <T>(
    participant: string,
    policies: readonly string[],
    call: () => Promise<T>,
  ): Promise<T> => {
    for (const policy of policies) await takeToken(db, participant, policy);
    try {
      return await call();
    } catch (error) {
      throw await inEnginesTime(db, error, { participant, policy: policies.at(-1) ?? '' });
    }
  };
  return {
    createSyncVerification: async (request, call) =>
      limited(request.participant, [createSyncVerification.name], async () =>
        bridge.createSyncVerification(request, call),
      ),
    createCidSetFile: async (request, call) =>
      limited(request.participant, [createCidSetFile.name], async () =>
        bridge.createCidSetFile(request, call),
      ),
    getCidSetFile: async (request, call) =>
      limited(request.participant, [FILE_POLL, getCidSetFile.name], async () =>
        bridge.getCidSetFile(request, call),
      ),
    // The file itself comes from its Url, which has no rate limit.
    downloadCidSetFile: async function* (request, call) {
      try {
        yield* bridge.downloadCidSetFile(request, call);
      } catch (error) {
        throw await inEnginesTime(db, error);
      }
    },
    listCidSetEvents: async (request, call) =>
      limited(request.participant, [listCidSetEvents.name], async () =>
        bridge.listCidSetEvents(request, call),
      ),
    getEntryByCid: async (request, call) =>
      limited(request.participant, [getEntryByCid.name], async () => bridge.getEntryByCid(request, call)),
    createEntry: async (request, call) =>
      limited(request.entry.participant, [createEntry.name], async () => bridge.createEntry(request, call)),
    listPolicies: async (request, call) => bridge.listPolicies(request, call),
    close: () => bridge.close(),
  };
}

/** How long it is until an error's retryAt, by the engine's clock; at least 100, so that no loop spins. */
export async function millisecondsUntil(db: Db, retryAt: Date): Promise<number> {
  const { rows } = await db.query<{ ms: number }>(
    'select extract(epoch from $1::timestamptz - workflow.now())::float8 * 1000 as ms',
    [retryAt],
  );
  return Math.max(one(rows).ms, 100);
}

async function takeToken(db: Db, participant: string, policy: string): Promise<void> {
  const { rows } = await translateDatabaseErrors(async () =>
    db.query<{ taken: boolean; retry_at: Date | null }>('select * from dict.take_token($1, $2)', [
      participant,
      policy,
    ]),
  );
  const { taken, retry_at: retryAt } = one(rows);
  if (!taken) {
    throw new DvError(
      'DV_DICT_RATE_LIMITED',
      `The token bucket ${policy} is empty; the call waits for DICT's refill.`,
      { retryAt: retryAt ?? undefined },
    );
  }
}

/**
 * The error of a failed call. The Bridge's client computed its retryAt with this machine's clock, but the engine uses
 * the database's. A 429 empties the token bucket of the call.
 */
async function inEnginesTime(
  db: Db,
  error: unknown,
  bucket?: { participant: string; policy: string },
): Promise<unknown> {
  if (!(error instanceof DvError)) return error;
  const wait = error.retryAt === undefined ? null : error.retryAt.getTime() - Date.now();
  if (wait === null && error.class !== 'rate_limited') return error;
  const emptied = error.class === 'rate_limited' ? bucket : undefined;
  const { rows } = await db.query<{ retry_at: Date | null }>(
    `select coalesce(dict.empty_bucket($1, $2, x.wait), workflow.now() + x.wait) as retry_at
     from (select $3 * interval '1 millisecond' as wait) x`,
    [emptied?.participant ?? null, emptied?.policy ?? null, wait],
  );
  const { retry_at: retryAt } = one(rows);
  return new DvError(error.code, error.message, {
    class: error.class,
    retryAt: retryAt ?? undefined,
    correlationId: error.correlationId,
  });
}
