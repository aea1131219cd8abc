import type { Bridge, CallOptions, Policy } from '../../bridge/index.ts';
import { translateDatabaseErrors } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import type { Db } from '../vsync/vsync-store.ts';
import { one } from '../../errors/rows.ts';

const DAY = 86_400;

/** DICT API 2.6.1, "Limitação de requisições": valid until ListPolicies says otherwise. */
const BACEN_POLICIES: readonly Policy[] = [
  ['SYNC_VERIFICATIONS_WRITE', 10, 60, 50],
  ['CIDS_FILES_WRITE', 40, DAY, 200],
  ['CIDS_FILES_READ', 10, 60, 50],
  ['CIDS_EVENTS_LIST', 20, 60, 100],
  ['CIDS_ENTRIES_READ', 1200, 60, 36_000],
  ['ENTRIES_WRITE', 1200, 60, 36_000],
].map(([name, refillTokens, refillPeriodSec, capacity]) => ({
  name: String(name),
  refillTokens: Number(refillTokens),
  refillPeriodSec: Number(refillPeriodSec),
  capacity: Number(capacity),
  availableTokens: Number(capacity),
}));

/**
 * Our own limit for getCidSetFile: half a refill as the capacity and half as the refill, so it never exceeds DICT's 10
 * a minute.
 */
const FILE_POLL = 'FILE_POLL';

/**
 * Creates the token buckets of a participant from DICT's answer (ListPolicies), or else from BACEN's published numbers.
 * A Bridge without ListPolicies, or one that fails now, does not cause an error.
 */
export async function seedRateLimits(
  db: Db,
  bridge: Bridge,
  participant: string,
  call: CallOptions,
): Promise<void> {
  let policies = BACEN_POLICIES;
  let fromDict = false;
  try {
    const known = new Set(BACEN_POLICIES.map(({ name }) => name));
    const listed = (await bridge.listPolicies({ participant }, call)).filter(({ name }) => known.has(name));
    if (listed.length > 0) [policies, fromDict] = [listed, true];
  } catch (error) {
    if (!(error instanceof DvError)) throw error;
  }
  const files = policies.find(({ name }) => name === 'CIDS_FILES_READ');
  const half = Math.max(1, Math.floor((files?.refillTokens ?? 10) / 2));
  const poll: Policy = {
    name: FILE_POLL,
    capacity: half,
    refillTokens: half,
    refillPeriodSec: files?.refillPeriodSec ?? 60,
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
      limited(request.participant, ['SYNC_VERIFICATIONS_WRITE'], async () =>
        bridge.createSyncVerification(request, call),
      ),
    createCidSetFile: async (request, call) =>
      limited(request.participant, ['CIDS_FILES_WRITE'], async () => bridge.createCidSetFile(request, call)),
    getCidSetFile: async (request, call) =>
      limited(request.participant, [FILE_POLL, 'CIDS_FILES_READ'], async () =>
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
      limited(request.participant, ['CIDS_EVENTS_LIST'], async () => bridge.listCidSetEvents(request, call)),
    getEntryByCid: async (request, call) =>
      limited(request.participant, ['CIDS_ENTRIES_READ'], async () => bridge.getEntryByCid(request, call)),
    createEntry: async (request, call) =>
      limited(request.entry.participant, ['ENTRIES_WRITE'], async () => bridge.createEntry(request, call)),
    listPolicies: async (request, call) => bridge.listPolicies(request, call),
    close: () => bridge.close(),
  };
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
