import { BACEN_POLICIES } from '../rate-limits/bacen-policies.ts';
import { DvError } from '../../errors/dv-error.ts';

/** getEntryByCid's token bucket: each divergent CID is looked up once. */
const { capacity, refillTokens, refillPeriodSec } = BACEN_POLICIES.getEntryByCid;

/** How many hours a repair of this number of CIDs takes within DICT's limits; each CID is looked up once. */
export function repairHours(divergentCids: number): number {
  return (Math.max(0, divergentCids - capacity) / refillTokens) * (refillPeriodSec / 3600);
}

/**
 * Refuses a repair that would take longer than `maxHours` within DICT's limits: DV_REPAIR_TOO_LONG, with the estimate.
 */
export function refuseHopelessRepair(divergentCids: number, maxHours: number): void {
  const hours = repairHours(divergentCids);
  if (hours <= maxHours) return;
  const estimate = hours >= 48 ? amount(Math.round(hours / 24), 'day') : amount(Math.ceil(hours), 'hour');
  throw new DvError(
    'DV_REPAIR_TOO_LONG',
    `At least ${divergentCids} CIDs differ. At DICT's limit of ${(refillTokens * 60) / refillPeriodSec} lookups a minute the repair would take ${estimate}. ` +
      "Load the key base from the institution's own records first (dict-vsync import), or raise REPAIR_MAX_HOURS.",
  );
}

function amount(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
