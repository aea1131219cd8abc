import type { Logger } from 'pino';
import { DvError } from '../errors/dv-error.ts';
import { stepErrorOf, type Json, type Result, type Step, type StepError } from './activity-contract.ts';

/** A claimed step as workflow.claim and workflow.complete_step return it. */
export interface Claim {
  id: string;
  machine: string;
  machineVersion: number;
  workflowKey: string;
  state: string;
  kind: string;
  task: string;
  version: number;
  attempt: number;
  polls: number;
  input: Json;
  context: Json;
  correlationId: string;
  enteredAt: string;
  parentId: string | null;
  error: StepError | null;
  failedState: string | null;
  startToCloseMs: number;
}

/** A completed step in the form that workflow.complete_many expects. */
export interface Completion {
  id: string;
  version: number;
  result: Result;
}

/** How an attempt ended, for metrics. */
export interface AttemptReport {
  machine: string;
  activity: string;
  outcome: 'completed' | 'failed' | 'fenced' | 'released';
  seconds: number;
}

export function isFenced(error: unknown): error is DvError {
  return error instanceof DvError && error.code === 'DV_FENCED';
}

export function runOf(claim: Claim): Step['run'] {
  const { id, machine, workflowKey, correlationId, input, context, parentId, error, failedState } = claim;
  return { id, machine, workflowKey, correlationId, input, context, parentId, error, failedState };
}

export function timedOut(claim: Claim): DvError {
  return new DvError('DV_TIMEOUT', `${claim.task} did not end within ${claim.startToCloseMs / 1000} s.`);
}

/**
 * Waits for `work`, but rejects as soon as the signal fires: an activity that ignores its signal must not block the
 * run.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    aborted.reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    aborted.promise.catch(() => undefined);
    work.catch(() => undefined);
  }
}

export function toStepError(error: unknown, claim: Claim, log: Logger): StepError {
  if (error instanceof DvError) return stepErrorOf(error);
  // The message of an unknown error may quote data. Its stack frames do not.
  const { name, stack } = error instanceof Error ? error : { name: typeof error, stack: '' };
  const frames = (stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  log.error({ error: name, frames }, 'unexpected error in an activity');
  return stepErrorOf(
    new DvError(
      'DV_UNEXPECTED',
      `Unexpected ${name} in ${claim.task}. The worker's log shows where it happened; please report it.`,
    ),
  );
}
