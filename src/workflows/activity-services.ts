import type { Pool } from 'pg';
import type { Bridge } from '../bridge/index.ts';
import type { Settings } from '../settings.ts';

/** What activities receive to work with. */
export interface Services {
  pool: Pool;
  bridge: Bridge;
  settings: Pick<
    Settings,
    | 'MANUAL_APPROVAL_THRESHOLD'
    | 'APPROVAL_FRESH_MINUTES'
    | 'APPROVAL_DAILY_KEYS'
    | 'APPROVAL_BASE_PERCENT'
    | 'APPROVAL_OWNER_CHANGES'
    | 'APPROVAL_LOOKUPS_MAX'
    | 'IN_FLIGHT_MARGIN_SECONDS'
    | 'EVENT_LOG_MAX_HOURS'
    | 'NOK_RECHECK_SECONDS'
    | 'FILE_POLL_SECONDS'
    | 'FILE_WAIT_MINUTES'
    | 'LATE_FILE_MAX_HOURS'
    | 'FILE_ALLOWED_MEGABYTES'
    | 'REPAIR_MAX_HOURS'
    | 'SCAN_MAX_AGE_HOURS'
    | 'TEMP_DIR'
  >;
}
