import type { Pool } from 'pg';
import type { Json, StepError, Transaction } from './activity-contract.ts';
import { one } from '../errors/rows.ts';
import { crashPoint } from './crash-points.ts';
import { translateDatabaseErrors } from './database-errors.ts';
import { StatementBatcher } from './statement-batcher.ts';

/** The statuses of a run. Those of CLOSED_STATUSES are final. */
export const OPEN_STATUSES = ['PENDING', 'RUNNING', 'WAITING'] as const;
export const CLOSED_STATUSES = [
  'COMPLETED',
  'COMPLETED_WITH_QUARANTINE',
  'REJECTED',
  'CONTINUED',
  'FAILED',
  'POISONED',
  'CANCELLED',
  'TERMINATED',
] as const;
export type RunStatus = (typeof OPEN_STATUSES)[number] | (typeof CLOSED_STATUSES)[number];

/** A run as workflow.runs_view shows it. */
export interface RunView {
  id: string;
  machine: string;
  machineVersion: number;
  workflowKey: string;
  status: RunStatus;
  state: string;
  attempt: number;
  maxAttempts: number;
  waitsFor: string | null;
  wakeAt: Date | null;
  deadline: Date | null;
  claimedBy: string | null;
  errorCode: string | null;
  errorMessage: string | null;
  failedState: string | null;
  parentId: string | null;
  continuedFrom: string | null;
  startedBy: string;
  correlationId: string;
  input: Json;
  createdAt: Date;
  updatedAt: Date;
  closedAt: Date | null;
  seconds: number;
}

/** One row of a run's history. */
export interface HistoryEvent {
  event: string;
  state: string;
  attempt: number;
  outcome: string | null;
  nextState: string | null;
  at: Date;
  worker: string | null;
  error: StepError | null;
  detail: Json | null;
}

const RUN_COLUMNS = `id, machine, machine_version as "machineVersion", workflow_key as "workflowKey", status, state, attempt,
  max_attempts as "maxAttempts", waits_for as "waitsFor", wake_at as "wakeAt", deadline, claimed_by as "claimedBy",
  error_code as "errorCode", error_message as "errorMessage", failed_state as "failedState", parent_id as "parentId",
  continued_from as "continuedFrom", started_by as "startedBy", correlation_id as "correlationId", input,
  created_at as "createdAt", updated_at as "updatedAt", closed_at as "closedAt",
  extract(epoch from duration)::float8 as seconds`;

/** The id of the run with this id or workflow key. Error: DV_RUN_NOT_FOUND. */
export async function findRun(pool: Pool, name: string): Promise<string> {
  return translateDatabaseErrors(async () => {
    const { rows } = await pool.query<{ id: string }>('select workflow.find_run($1) as id', [name]);
    return one(rows).id;
  });
}

/** Runs, newest first, filtered by status, machine, ids or parent. */
export async function listRuns(
  pool: Pool,
  filter: {
    status?: string | undefined;
    machine?: string | undefined;
    ids?: string[];
    parentId?: string;
    limit?: number;
  } = {},
): Promise<RunView[]> {
  const { rows } = await pool.query<RunView>(
    `select ${RUN_COLUMNS} from workflow.runs_view
     where ($1::text is null or status = $1) and ($2::text is null or machine = $2)
       and ($3::uuid[] is null or id = any ($3)) and ($4::uuid is null or parent_id = $4)
     order by id desc limit $5`,
    [
      filter.status ?? null,
      filter.machine ?? null,
      filter.ids ?? null,
      filter.parentId ?? null,
      filter.limit ?? 1000,
    ],
  );
  return rows;
}

/** The number of runs, by machine, that became POISONED in the last 7 days and were not retried since. */
export async function countPoisoned(db: Pick<Pool, 'query'>): Promise<{ machine: string; count: number }[]> {
  const { rows } = await db.query<{ machine: string; count: number }>(
    `select machine, count(*)::integer as count from workflow.runs
     where status = 'POISONED' and closed_at > workflow.now() - interval '7 days' group by 1 order by 1`,
  );
  return rows;
}

/** A run's history, oldest first. */
export async function historyOf(pool: Pool, runId: string): Promise<HistoryEvent[]> {
  const { rows } = await pool.query<HistoryEvent>(
    `select event, state, attempt, outcome, next_state as "nextState", at, worker, error, detail
     from workflow.history where run_id = $1 order by id`,
    [runId],
  );
  return rows;
}

interface Start {
  machine: string;
  key: string;
  input: Json;
  by: string;
}

/** The batcher of starts of each pool. */
const starts = new WeakMap<object, StatementBatcher<Start & { id: string }, string>>();

/**
 * Starts a run, or returns the open one with that key. Starts at the same moment share a transaction, which is
 * committed when the promise resolves. Errors: DV_MACHINE_UNKNOWN.
 */
export async function startRun(
  pool: Pool,
  machine: string,
  workflowKey: string,
  input: Json,
  startedBy: string,
): Promise<string> {
  const start = { machine, key: workflowKey, input, by: startedBy };
  const id = await batcherOf(pool).ask({ id: workflowKey, ...start });
  return id ?? startRunIn(pool, machine, workflowKey, input, startedBy);
}

/** The same in the caller's transaction: the run exists once that commits. */
export async function startRunIn(
  tx: Pick<Transaction, 'query'>,
  machine: string,
  workflowKey: string,
  input: Json,
  startedBy: string,
): Promise<string> {
  return translateDatabaseErrors(async () => {
    const { rows } = await tx.query<{ id: string }>('select workflow.start_run($1, $2, $3, $4) as id', [
      machine,
      workflowKey,
      JSON.stringify(input),
      startedBy,
    ]);
    return one(rows).id;
  });
}

function batcherOf(pool: Pool): StatementBatcher<Start & { id: string }, string> {
  let batcher = starts.get(pool);
  if (batcher === undefined) {
    batcher = new StatementBatcher(async (together) => startRuns(pool, together, ''));
    starts.set(pool, batcher);
  }
  return batcher;
}

/** Starts many runs in one statement, as `startRun` does for one. Returns their ids by workflow key. */
export async function startRuns(
  db: Pick<Pool, 'query'>,
  runs: readonly { machine: string; key: string; input: Json }[],
  startedBy: string,
): Promise<Map<string, string>> {
  return translateDatabaseErrors(async () => {
    const { rows } = await db.query<{ key: string; id: string }>(
      'select workflow_key as key, run_id as id from workflow.start_runs($1, $2)',
      [JSON.stringify(runs), startedBy],
    );
    return new Map(rows.map(({ key, id }) => [key, id]));
  });
}

/** Sends a signal to a run. Errors: DV_RUN_NOT_FOUND, DV_RUN_CLOSED. */
export async function signalRun(
  db: Pick<Pool, 'query'>,
  runId: string,
  name: string,
  payload: Json,
  by: string,
): Promise<void> {
  crashPoint('before-signal');
  await translateDatabaseErrors(async () =>
    db.query('select workflow.signal($1, $2, $3, $4)', [runId, name, JSON.stringify(payload), by]),
  );
  crashPoint('after-signal');
}

/** Cancels an open run. Returns CANCELLED, or CANCEL_REQUESTED if it will end with its current step. */
export async function cancelRun(
  pool: Pool,
  runId: string,
  by: string,
  reason: string | null,
): Promise<string> {
  return translateDatabaseErrors(async () => {
    const { rows } = await pool.query<{ status: string }>('select workflow.cancel($1, $2, $3) as status', [
      runId,
      by,
      reason,
    ]);
    return one(rows).status;
  });
}

/** Opens a failed run again. Returns the state in which it continues. */
export async function retryRun(
  pool: Pool,
  runId: string,
  by: string,
  reason: string | null,
): Promise<string> {
  return translateDatabaseErrors(async () => {
    const { rows } = await pool.query<{ state: string }>('select workflow.retry($1, $2, $3) as state', [
      runId,
      by,
      reason,
    ]);
    return one(rows).state;
  });
}

/** Whether any worker of this database has sent a heartbeat within the lease (workflow.lease). */
export async function anyWorkerAlive(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query<{ alive: boolean }>(
    'select exists (select from workflow.workers where workflow.is_alive(id)) as alive',
  );
  return one(rows).alive;
}
