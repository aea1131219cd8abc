import type { ClientBase } from 'pg';
import type { Logger } from 'pino';
import type { DvError, ErrorClass } from '../errors/dv-error.ts';

/** A JSON object as runs keep it. */
export type Json = Record<string, unknown>;

/** The client of a step's transaction: what is written through it commits with the transition or not at all. */
export type Transaction = ClientBase;

/** One claimed attempt of a run's present state. */
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
  /** How often a poll state found `pending`, or a loop state `again`, before. */
  repetitions: number;
  /** When the run entered this state, in the engine's time. */
  enteredAt: Date;
  /** Fires when the attempt's time is up, the run is cancelled or the worker stops: give up soon. */
  signal: AbortSignal;
  /** Bound to run, activity and attempt. */
  log: Logger;
  /**
   * For what is written before the step ends: a short transaction of its own, refused (DV_FENCED) when the run was taken
   * over or closed meanwhile. A worker that was frozen would else write over what another has done.
   */
  fenced: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>;
}

/** What an attempt failed with, as kept in the run and its history. */
export interface StepError {
  code: string;
  class: ErrorClass;
  message: string;
  retryAt?: string | undefined;
  correlationId?: string | undefined;
}

/** An error as a step ends with it. */
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
  /** Its workflow key; a run open under that key is taken as the child that was asked for. */
  key: string;
  input: Json;
  /** What becomes of it when the parent closes; default ABANDON. */
  policy?: 'ABANDON' | 'TERMINATE' | 'REQUEST_CANCEL' | undefined;
}

/** How a step ends: its outcome, and what is to be remembered or started with it. */
export interface Result<O extends string = string, C = Json> {
  outcome: O;
  /** Merged over the run's context (top-level keys). */
  context?: Partial<C> | undefined;
  /** Kept in the history row only. */
  detail?: Json;
  /** The reason of a failure that the machine itself decided, for a run that goes on to a FAILED end. */
  error?: StepError | undefined;
  /** When the next step begins: the repetition after `pending` and `again`, instead of the state's own policy, or the next state's first. */
  wakeAfterMs?: number | undefined;
  children?: Child[];
  /** With an outcome that leads to a CONTINUED end: the input of the run that takes over. */
  continueAsNew?: Json;
}

/** An effect: runs in the step's transaction, which then commits the transition too. Repeated as a whole on a retry. */
export type Effect<O extends string = string, C = Json> = (tx: Transaction) => Promise<Result<O, C>>;

/**
 * An activity: does its work outside any transaction and returns a result, or an effect for the step's transaction.
 * Throws DvError; anything else counts as unexpected and retryable.
 */
export type Activity<O extends string, S> = (step: Step, services: S) => Promise<Result<O> | Effect<O>>;

/** Activities by task name. */
export type Activities<S> = Record<string, Activity<string, S>>;
