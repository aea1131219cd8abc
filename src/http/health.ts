import type { Pool } from 'pg';
import { type Deadline, readMissedDeadlines } from '../dict/vsync/deadline.ts';
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
  /** A plain sentence. */
  message: string;
}

export type Warning =
  | {
      warning: 'deadline_missed' | 'messages_dead' | 'messages_late';
      participant: string;
      /** Or ALL, of messages. */
      keyType: string;
      /** A plain sentence. */
      message: string;
    }
  | { warning: 'runs_poisoned'; message: string };

export interface Readiness {
  ready: boolean;
  /** Why not; empty when ready. */
  reasons: Reason[];
  /**
   * What a person must look at though the worker is fit to work. Never a reason: a worker taken out of service for a
   * missed deadline could not mend it.
   */
  warnings: Warning[];
}

export interface Health {
  /** Answers within 2 s, also when the database hangs; never throws. */
  check(): Promise<Readiness>;
  /** The worker is there: until then it isn't ready. */
  started(worker: Beating): void;
  /** To be called when the worker is told to stop: from then on it isn't ready. */
  stopping(): void;
}

type Beating = Pick<RunningWorker, 'lastHeartbeat' | 'ended'>;

export interface HealthOptions {
  pool: Pool;
  /** Without it, `started` tells of it later. */
  worker?: Beating;
  /**
   * The migrations this program ships with, as paths or file names (`migrations/0001-workflow.sql`): the database must
   * have these and no others. Without it, only that there are any is looked at.
   */
  migrations?: readonly string[];
  /** The number of the SQL functions that this program ships with, likewise. */
  functionsNumber?: number;
}

const UNDEFINED_TABLE = '42P01';

/** Whether a worker is fit to work: the database answers and is migrated, its heartbeat gets through, it isn't stopping. */
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
    async (ask): Promise<Found> => {
      const { rows } = await ask.query<{ name: string; functions: string | null }>(
        `select name, (select value from workflow.settings where name = 'functions_number') as functions
       from workflow.migrations_applied where not obsolete`,
      );
      const applied = rows.map(({ name }) => name).sort();
      const sameFunctions = functionsNumber === undefined || Number(rows[0]?.functions) === functionsNumber;
      const current =
        (shipped === undefined ? applied.length > 0 : applied.join() === shipped.join()) && sameFunctions;
      if (!current) return { reasons: [NOT_CURRENT], warnings: [] };
      const late = (await readMissedDeadlines(ask)).map(warningOf);
      const troubled = (await readTroubledStreams(ask)).flatMap(warningsOf);
      return { reasons: [], warnings: [...late, ...troubled, ...(await poisonedIn(ask))] };
    },
  );

  const inDatabase = async (): Promise<Found> => {
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
        const message = `The last heartbeat got through ${Math.round(silentMs / 1000)} s ago.`;
        reasons.push({ reason: 'heartbeat_old', message });
      }
      if (stopping) reasons.push(STOPPING);
      return { ready: reasons.length === 0, reasons, warnings };
    },
  };
}

type Found = Pick<Readiness, 'reasons' | 'warnings'>;

function warningOf({ participant, keyType, lastOkAt, deadlineAt }: Deadline): Warning {
  const last = lastOkAt === null ? 'there never was one' : `the last came at ${lastOkAt.toISOString()}`;
  const message = `DICT's OK was due at ${deadlineAt.toISOString()}; ${last}.`;
  return { warning: 'deadline_missed', participant, keyType, message };
}

function warningsOf({ participant, keyType, dead, waitingSince, errorCode }: TroubledStream): Warning[] {
  const stream = { participant, keyType };
  const late = `Messages to Core-Dict have waited since ${waitingSince?.toISOString()}${errorCode === null ? '' : `: ${errorCode}`}.`;
  const aside = `${dead} messages to Core-Dict are put aside: see dict-vsync outbox list --dead.`;
  return [
    ...(dead > 0 ? [{ warning: 'messages_dead' as const, ...stream, message: aside }] : []),
    ...(waitingSince !== null ? [{ warning: 'messages_late' as const, ...stream, message: late }] : []),
  ];
}

async function poisonedIn(ask: Ask): Promise<Warning[]> {
  const counts = await countPoisoned(ask);
  if (counts.length === 0) return [];
  const which = counts.map(({ machine, count }) => `${machine} ${count}`).join(', ');
  const message = `Runs were put aside because workers died in them (${which}): dict-vsync list --status POISONED.`;
  return [{ warning: 'runs_poisoned', message }];
}

const NOT_CURRENT: Reason = {
  reason: 'migrations_not_current',
  message:
    'The database has other migrations or functions than this program: run dict-vsync migrate, or the newer program.',
};
const STARTING: Reason = {
  reason: 'worker_starting',
  message: 'The worker has not started yet. As long as Postgres is away it waits for it.',
};
const STOPPING: Reason = { reason: 'worker_stopping', message: 'The worker is stopping or has stopped.' };
