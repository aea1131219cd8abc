import type { Db, SyncState } from './vsync-store.ts';

/** What a person must look at: the codes of dict.warnings. */
export type WarningCode =
  | 'DEADLINE_MISSED'
  | 'NO_FRESH_OK'
  | 'VERIFICATION_INCOMPLETE'
  | 'RECONCILIATION_FAILED'
  | 'APPROVAL_WAITING'
  | 'QUARANTINED'
  | 'UNSURE'
  | 'KEYS_HELD'
  | 'RUN_FAILED';

/** A row of dict.warnings. It contains no personal data. */
export interface Warning {
  participant: string;
  /** A key type, or ALL for the participant as a whole. */
  keyType: string;
  code: WarningCode;
  /** Since when its cause has existed. For a missing OK: the last OK, or when the participant was configured. */
  since: Date;
  /** The number of keys, CIDs or runs, where the code has one. */
  count: number | null;
  /** The newest run that shows it. */
  runId: string | null;
  /** The code of that run's error. */
  errorCode: string | null;
  deadlineAt: Date | null;
  lastOkAt: Date | null;
}

/** A warning that began or ended. */
export type WarningChange = Warning & { change: 'RAISED' | 'CLEARED' };

const COLUMNS = `participant, key_type as "keyType", code, since, count::float8 as count, run_id as "runId",
  error_code as "errorCode", deadline_at as "deadlineAt", last_ok_at as "lastOkAt"`;

/** The present warnings, by participant and key type. */
export async function readWarnings(db: Db): Promise<Warning[]> {
  const { rows } = await db.query<Warning>(
    `select ${COLUMNS} from dict.warnings order by participant, key_type, code`,
  );
  return rows;
}

/** Raises the warnings that began and clears those that ended, each once however many workers check. Returns them. */
export async function checkWarnings(db: Db): Promise<WarningChange[]> {
  const { rows } = await db.query<WarningChange>(`select change, ${COLUMNS} from dict.check_warnings()`);
  return rows;
}

/** When warnings begin, in hours, and whether alerts are sent to a person. */
export interface WarningSettings {
  deadlineHours: number;
  freshOkHours: number;
  approvalHours: number;
  alerts: boolean;
}

/** Stores the settings in the database, where the views read them. */
export async function configureWarnings(db: Db, settings: WarningSettings): Promise<void> {
  const { deadlineHours, freshOkHours, approvalHours, alerts } = settings;
  await db.query(
    'update dict.warning_settings set deadline_hours = $1, fresh_ok_hours = $2, approval_hours = $3, alerts = $4',
    [deadlineHours, freshOkHours, approvalHours, alerts],
  );
}

/** Critical: the regulator's deadline is missed. Error: work has stopped. Warning: it may be missed, or a person waits. */
export type Severity = 'critical' | 'error' | 'warning';

export const SEVERITIES: Record<WarningCode, Severity> = {
  DEADLINE_MISSED: 'critical',
  NO_FRESH_OK: 'warning',
  VERIFICATION_INCOMPLETE: 'error',
  RECONCILIATION_FAILED: 'error',
  APPROVAL_WAITING: 'warning',
  QUARANTINED: 'warning',
  UNSURE: 'warning',
  KEYS_HELD: 'warning',
  RUN_FAILED: 'error',
};

const LOOK =
  'Run `dict-vsync list` to see how the last runs ended. When the cause has been removed, run `dict-vsync start verification`.';

/** A warning in sentences for people: what is wrong, and which command to run next. The only place that has them. */
export function warningText(warning: Warning): string {
  const { code, count, deadlineAt } = warning;
  const since = shown(warning.since);
  const run = warning.runId ?? 'RUN';
  const error = warning.errorCode === null ? '' : ` with ${warning.errorCode}`;
  switch (code) {
    case 'DEADLINE_MISSED':
      return `DICT's OK was due at ${deadlineAt === null ? 'an unknown time' : shown(deadlineAt)}; ${lastOk(warning)}. ${LOOK}`;
    case 'NO_FRESH_OK':
      return (
        `There is no fresh OK; ${lastOk(warning)}.` +
        (deadlineAt === null ? '' : ` The next OK must arrive by ${shown(deadlineAt)}.`) +
        ` ${LOOK}`
      );
    case 'VERIFICATION_INCOMPLETE':
      return `Verifications have ended without DICT's answer since ${since}, the last one${error}. Run \`dict-vsync describe ${run}\`.`;
    case 'RECONCILIATION_FAILED':
      return `Reconciliations have failed since ${since}, the last one${error}. Run \`dict-vsync describe ${run}\`.`;
    case 'APPROVAL_WAITING':
      return `A reconciliation has been waiting for a person's approval since ${since}. Run \`dict-vsync describe ${run}\`, then \`dict-vsync approve\` or \`dict-vsync reject\`.`;
    case 'QUARANTINED':
      return `${many(count, 'CID is', 'CIDs are')} quarantined since ${since}, and DICT has not answered OK since. Run \`dict-vsync report ${run}\`.`;
    case 'UNSURE':
      return `${many(count, 'key was', 'keys were')} left alone, because it is not proved that DICT does not have them (since ${since}). Run \`dict-vsync report ${run}\`.`;
    case 'KEYS_HELD':
      return `${many(count, 'key is', 'keys are')} held since ${since}, because a person has undone a change; ${lastOk(warning)}. Run \`dict-vsync held\` to see them and \`dict-vsync release\` to release them.`;
    case 'RUN_FAILED':
      return `${many(count, 'run has', 'runs have')} failed since ${since}, the last one${error}. Run \`dict-vsync describe ${run}\`.`;
  }
}

/** DICT's last OK and the keys held beside it: `OK at 2026-11-28T03:00:00Z, 150 keys held since 2026-11-27T10:12:00Z`. */
export function okText(
  { lastOkAt, heldKeys = 0, heldSince }: SyncState,
  format: (at: Date) => string,
): string {
  const ok = lastOkAt === undefined ? 'no OK yet' : `OK at ${format(lastOkAt)}`;
  return heldSince === undefined
    ? ok
    : `${ok}, ${many(heldKeys, 'key', 'keys')} held since ${format(heldSince)}`;
}

function lastOk({ lastOkAt }: Warning): string {
  return lastOkAt === null ? 'DICT has never answered OK' : `the last OK was at ${shown(lastOkAt)}`;
}

function shown(at: Date): string {
  return at.toISOString();
}

function many(count: number | null, singular: string, plural: string): string {
  return `${(count ?? 0).toLocaleString('en')} ${count === 1 ? singular : plural}`;
}
