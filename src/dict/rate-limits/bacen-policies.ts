/** A token bucket as BACEN publishes it: it starts full, and the tokens of a refill come together at the end of a period. */
export interface BacenPolicy {
  name: string;
  refillTokens: number;
  refillPeriodSec: number;
  capacity: number;
}

const DAY = 86_400;

const policy = (
  name: string,
  refillTokens: number,
  refillPeriodSec: number,
  capacity: number,
): BacenPolicy => ({ name, refillTokens, refillPeriodSec, capacity });

/**
 * DICT's limits per participant, by the operation that takes a token (DICT API 2.6.1, "Limitação de requisições").
 * `GET /policies/` returns the true ones.
 */
export const BACEN_POLICIES = {
  createSyncVerification: policy('SYNC_VERIFICATIONS_WRITE', 10, 60, 50),
  createCidSetFile: policy('CIDS_FILES_WRITE', 40, DAY, 200),
  getCidSetFile: policy('CIDS_FILES_READ', 10, 60, 50),
  listCidSetEvents: policy('CIDS_EVENTS_LIST', 20, 60, 100),
  getEntryByCid: policy('CIDS_ENTRIES_READ', 1200, 60, 36_000),
  createEntry: policy('ENTRIES_WRITE', 1200, 60, 36_000),
  listPolicies: policy('POLICIES_LIST', 6, 60, 20),
} as const;
