import type { ClientBase } from 'pg';
import type { Logger } from 'pino';
import type { DvError, ErrorClass } from '../errors/dv-error.ts';

/** A JSON object as stored in a run. */
export type Json = Record<string, unknown>;

/**
 * The client of a step's transaction. What is written through it commits together with the transition or not at all.
 */
export type Transaction = ClientBase;

/** One claimed attempt of a run's current state. */
export interface Step {
  run: {
    id: string;
    machine: string;
    workflowKey: string;
    correlationId: string;
    input: Json;
    context: Json;
    parentId: string | null;
    error: StepError | null;
    failedState: string | null;
  };
  state: string;
  task: string;
  /** 1 for the first attempt of this state. */
  attempt: number;
  /** How often this poll state returned `pending`, or this loop state `again`, before. */
  repetitions: number;
  /** When the run entered this state, in the engine's time. */
  enteredAt: Date;
  /**
   * Fires when the attempt's time is up, the run is cancelled or the worker stops. The activity should end soon then.
   */
  signal: AbortSignal;
  /** A logger whose lines name the run, the activity and the attempt. */
  log: Logger;
  /**
   * For what is written before the step ends: a short separate transaction, refused (DV_FENCED) if the run was taken
   * over or closed meanwhile. Otherwise a worker that was frozen could overwrite what another worker has done.
   */
  fenced: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>;
}

/** Why an attempt failed, as stored in the run and its history. */
export interface StepError {
  code: string;
  class: ErrorClass;
  message: string;
  retryAt?: string | undefined;
  correlationId?: string | undefined;
}

/** An error in the form in which a step ends with it. */
export function stepErrorOf(error: DvError): StepError {
  return {
    code: error.code,
    class: error.class,
    message: error.message,
    ...(error.retryAt && { retryAt: error.retryAt.toISOString() }),
    ...(error.correlationId && { correlationId: error.correlationId }),
  };
}

export interface Child {
  machine: string;
  /** Its workflow key. If a run is already open under that key, it serves as the child. */
  key: string;
  input: Json;
  /** What happens to it when the parent closes. Default ABANDON. */
  policy?: 'ABANDON' | 'TERMINATE' | 'REQUEST_CANCEL' | undefined;
}

/** How a step ends: its outcome, and what is stored or started with it. */
export interface Result<O extends string = string, C = Json> {
  outcome: O;
  /** Merged into the run's context (top-level keys). */
  context?: Partial<C> | undefined;
  /**
   * Stored only in the history row. Its `waitsFor`, if there is one, says in words what the run waits for until its
   * next step (workflow.runs_view).
   */
  detail?: Json;
  /** The reason of a failure that the machine itself decided, for a run that continues to a FAILED end. */
  error?: StepError | undefined;
  /**
   * Delay before the next step: before the repetition after `pending` (instead of the poll policy) or `again`, or
   * before the first step of the next state.
   */
  wakeAfterMs?: number | undefined;
  /** With `pending`: how long after it was entered the poll state ends, instead of its machine's deadline. */
  deadlineMs?: number | undefined;
  children?: Child[];
  /** With an outcome that leads to a CONTINUED end: the input of the successor. */
  continueAsNew?: Json;
}

/** An effect runs in the step's transaction, which also commits the transition. A retry repeats it as a whole. */
export type Effect<O extends string = string, C = Json> = (tx: Transaction) => Promise<Result<O, C>>;

/**
 * An activity does its work outside any transaction and returns a result, or an effect for the step's transaction.
 * It throws DvError. Any other error counts as unexpected and retryable.
 */
export type Activity<O extends string, S> = (step: Step, services: S) => Promise<Result<O> | Effect<O>>;

/** Activities by task name. */
export type Activities<S> = Record<string, Activity<string, S>>;
