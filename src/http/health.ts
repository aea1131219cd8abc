import type { Pool } from 'pg';
import {
  readWarnings,
  type Warning as Found,
  type WarningCode,
  warningText,
} from '../dict/vsync/warnings.ts';
import { countPoisoned, fromDatabase, LEASE_MS, type RunningWorker } from '../engine/index.ts';
import { DvError } from '../errors/dv-error.ts';
import { readTroubledStreams, type TroubledStream } from '../notify/index.ts';
import { type Ask, singleFlightQuery } from './bounded-query.ts';

export interface Reason {
  reason:
    | 'database_unreachable'
    | 'migrations_not_current'
    | 'worker_starting'
    | 'heartbeat_old'
    | 'worker_stopping';
  /** A sentence for people. */
  message: string;
}

export type Warning =
  | {
      /** A code of dict.warnings in lower case, or about messages. */
      warning: Lowercase<WarningCode> | 'messages_dead' | 'messages_late' | 'alerts_dead' | 'alerts_late';
      participant: string;
      /** A key type, or ALL for messages about several. */
      keyType: string;
      /** A sentence for people. */
      message: string;
    }
  | { warning: 'runs_poisoned'; message: string };

export interface Readiness {
  ready: boolean;
  /** Why the worker is not ready. Empty if it is ready. */
  reasons: Reason[];
  /**
   * What a person must look at although the worker is ready. Never a reason: a worker that is taken out of service
   * because of a missed deadline could not verify again.
   */
  warnings: Warning[];
}

export interface Health {
  /** Answers within 2 s, even if the database hangs. Never throws. */
  check(): Promise<Readiness>;
  /** To be called when the worker has started. Before that it is not ready. */
  started(worker: Beating): void;
  /** To be called when the worker is to stop. From then on it is not ready. */
  stopping(): void;
}

type Beating = Pick<RunningWorker, 'lastHeartbeat' | 'ended'>;

export interface HealthOptions {
  pool: Pool;
  /** The worker, if it is already running. Otherwise it is given to `started` later. */
  worker?: Beating;
  /**
   * The migrations that this program ships with, as paths or file names (`migrations/0001-workflow.sql`): the database
   * must have these and no others. If undefined, the database must have at least one migration.
   */
  migrations?: readonly string[];
  /** The number of the set of SQL functions that this program ships with. If undefined, it is not checked. */
  functionsNumber?: number;
}

const UNDEFINED_TABLE = '42P01';

/** Whether a worker is ready: the database answers and is migrated, heartbeats succeed, and it is not stopping. */
export function createHealth({ pool, worker, migrations, functionsNumber }: HealthOptions): Health {
  const shipped = migrations?.map((path) => path.slice(path.lastIndexOf('/') + 1)).sort();
  let stopping = false;
  const stop = () => {
    stopping = true;
  };
  let running: Beating | undefined;
  const started = (now: Beating) => {
    running = now;
    now.ended.then(stop, stop);
  };
  if (worker !== undefined) started(worker);

  const askDatabase = singleFlightQuery(
    pool,
    { waitMs: 1500, limitMs: 1500 },
    async (ask): Promise<Answer> => {
      const { rows } = await ask.query<{ name: string; functions: string | null }>(
        `select name, (select value from workflow.settings where name = 'functions_number') as functions
       from workflow.migrations_applied where not obsolete`,
      );
      const applied = rows.map(({ name }) => name).sort();
      const sameFunctions = functionsNumber === undefined || Number(rows[0]?.functions) === functionsNumber;
      const current =
        (shipped === undefined ? applied.length > 0 : applied.join() === shipped.join()) && sameFunctions;
      if (!current) return { reasons: [NOT_CURRENT], warnings: [] };
      const found = (await readWarnings(ask)).map(warningOf);
      const troubled = (await readTroubledStreams(ask)).flatMap(warningsOf);
      return { reasons: [], warnings: [...found, ...troubled, ...(await poisonedIn(ask))] };
    },
  );

  const inDatabase = async (): Promise<Answer> => {
    try {
      const { reasons, warnings } = await askDatabase();
      return { reasons: [...reasons], warnings };
    } catch (error) {
      if ((error as { code?: unknown }).code === UNDEFINED_TABLE)
        return { reasons: [NOT_CURRENT], warnings: [] };
      const known = fromDatabase(error);
      const message = known instanceof DvError ? known.message : 'The database cannot be reached.';
      return { reasons: [{ reason: 'database_unreachable', message }], warnings: [] };
    }
  };

  return {
    started,
    stopping: stop,
    check: async () => {
      const { reasons, warnings } = await inDatabase();
      if (running === undefined) reasons.push(STARTING);
      const silentMs = running === undefined ? 0 : Date.now() - running.lastHeartbeat();
      if (silentMs > LEASE_MS) {
        const message = `The last successful heartbeat was ${Math.round(silentMs / 1000)} s ago.`;
        reasons.push({ reason: 'heartbeat_old', message });
      }
      if (stopping) reasons.push(STOPPING);
      return { ready: reasons.length === 0, reasons, warnings };
    },
  };
}

type Answer = Pick<Readiness, 'reasons' | 'warnings'>;

function warningOf(found: Found): Warning {
  const { participant, keyType, code } = found;
  const warning = code.toLowerCase() as Lowercase<WarningCode>;
  return { warning, participant, keyType, message: warningText(found) };
}

function warningsOf(stream: TroubledStream): Warning[] {
  const { participant, keyType, dead, waitingSince, errorCode } = stream;
  const alerts = stream.destination === 'ALERT';
  const what = alerts ? 'Alerts' : 'Messages to Core-Dict';
  const late = `${what} have been waiting since ${waitingSince?.toISOString()}${errorCode === null ? '' : `: ${errorCode}`}.`;
  const refused = `${dead} ${alerts ? 'alerts' : 'messages to Core-Dict'} are dead, because the transport refused them: see dict-vsync outbox list --dead.`;
  const of = { participant, keyType };
  return [
    ...(dead > 0
      ? [{ warning: alerts ? ('alerts_dead' as const) : ('messages_dead' as const), ...of, message: refused }]
      : []),
    ...(waitingSince !== null
      ? [{ warning: alerts ? ('alerts_late' as const) : ('messages_late' as const), ...of, message: late }]
      : []),
  ];
}

async function poisonedIn(ask: Ask): Promise<Warning[]> {
  const counts = await countPoisoned(ask);
  if (counts.length === 0) return [];
  const which = counts.map(({ machine, count }) => `${machine} ${count}`).join(', ');
  const message = `Runs are poisoned, because workers died in them (${which}): see dict-vsync list --status POISONED.`;
  return [{ warning: 'runs_poisoned', message }];
}

const NOT_CURRENT: Reason = {
  reason: 'migrations_not_current',
  message:
    'The database has other migrations or functions than this program needs: run dict-vsync migrate, or use the newer program.',
};
const STARTING: Reason = {
  reason: 'worker_starting',
  message: 'The worker has not started yet. While Postgres is unreachable the worker waits for it.',
};
const STOPPING: Reason = { reason: 'worker_stopping', message: 'The worker is stopping or has stopped.' };
