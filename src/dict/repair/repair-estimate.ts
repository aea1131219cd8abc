import { DvError } from '../../errors/dv-error.ts';

/** getEntryByCid's token bucket (DICT API 2.6.1, CIDS_ENTRIES_READ): 1,200 a minute, at most 36,000 saved up. */
export const LOOKUPS = { perMinute: 1200, burst: 36_000 };

/** How many hours a repair of this number of CIDs takes within DICT's limits; each CID is looked up once. */
export function repairHours(divergentCids: number): number {
  return Math.max(0, divergentCids - LOOKUPS.burst) / LOOKUPS.perMinute / 60;
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
    `At least ${divergentCids} CIDs differ. At DICT's limit of ${LOOKUPS.perMinute} lookups a minute the repair would take ${estimate}. ` +
      "Load the key base from the institution's own records first (dict-vsync import), or raise REPAIR_MAX_HOURS.",
  );
}

function amount(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
