// The engine's public API: what workflows, tasks, the domain and the CLI may use.
export type {
  Activities,
  Activity,
  Child,
  Effect,
  Json,
  Result,
  Step,
  StepError,
  Transaction,
} from './activity-contract.ts';
export { stepErrorOf } from './activity-contract.ts';
export type { Chore } from './chores.ts';
export { crashPoint } from './crash-points.ts';
export { readCrontab, type Schedule } from './crontab.ts';
export { fromDatabase, translateDatabaseErrors } from './database-errors.ts';
export type { AttemptReport } from './claimed-step.ts';
export { logFailures } from './failures.ts';
export { LEASE_MS } from './lease.ts';
export { machineOver, type Machine } from './machine.ts';
export {
  anyWorkerAlive,
  cancelRun,
  CLOSED_STATUSES,
  countPoisoned,
  findRun,
  historyOf,
  listRuns,
  OPEN_STATUSES,
  retryRun,
  type HistoryEvent,
  type RunStatus,
  type RunView,
  signalRun,
  startRun,
  startRunIn,
  startRuns,
} from './runs.ts';
export { CATCH_UP_MS, fireDueTicks, registerSchedules, type TickHandler } from './cron-schedule.ts';
export { storeMachines } from './store-machines.ts';
export { inTransaction } from './transaction.ts';
export { typedActivity, type StoredJson, type TypedActivity, type TypedStep } from './typed-activity.ts';
export { startWorker, type RunningWorker, type WorkerOptions } from './worker.ts';
