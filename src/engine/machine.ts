import { DvError } from '../errors/dv-error.ts';
import type { Activity } from './activity-contract.ts';

/** How often and how fast a failed attempt of a state is retried. Defaults: 5 attempts, 1 s × 2, at most 30 s. */
export interface RetryPolicy {
  maxAttempts?: number;
  initialMs?: number;
  backoff?: number;
  maxMs?: number;
}

/** How a poll state repeats until its activity returns an outcome other than `pending`. */
export interface PollPolicy {
  initialMs: number;
  backoff: number;
  maxMs: number;
}

// `never`, because parameters are contravariant and an activity's services do not matter here.
type OutcomeOf<A> = A extends Activity<infer O, never> ? O : never;

interface Working<T extends string> {
  task: T;
  retry?: RetryPolicy;
  /** Start-to-close timeout of one attempt; default 5 minutes. */
  startToCloseMs?: number;
}
type Edges<Outcomes extends string, N extends string> = Record<Outcomes, N> & { failure?: N };

type WorkingState<T extends string, O extends string, N extends string> =
  | (Working<T> & { kind: 'activity' | 'spawn'; on: Edges<O, N> })
  | (Working<T> & { kind: 'loop'; on: Edges<Exclude<O, 'again'>, N> })
  | (Working<T> & {
      kind: 'poll';
      poll: PollPolicy;
      deadlineMs: number;
      on: Edges<Exclude<O, 'pending'> | 'timeout', N>;
    });

interface WaitState<N extends string> {
  kind: 'wait';
  /** The signals that it accepts. Each is an outcome. */
  signals: readonly string[];
  /** Whether the end of all children is an outcome too (`children_closed`). */
  awaitsChildren?: boolean;
  deadlineMs?: number;
  on: Record<string, N>;
}

interface TerminalState {
  kind: 'terminal';
  closesAs: 'COMPLETED' | 'COMPLETED_WITH_QUARANTINE' | 'REJECTED' | 'CONTINUED' | 'FAILED';
}

export type StateDefinition<A, N extends string> =
  | { [T in keyof A & string]: WorkingState<T, OutcomeOf<A[T]>, N> }[keyof A & string]
  | WaitState<N>
  | TerminalState;

/** A machine as it is stored and executed, without the types of its activities. */
export interface Machine {
  name: string;
  /** Raised with each change. Open runs finish on the version with which they began. */
  version: number;
  initial: string;
  states: Record<string, StoredState>;
}

export interface StoredState {
  kind: 'activity' | 'loop' | 'poll' | 'wait' | 'spawn' | 'terminal';
  task?: string;
  retry?: RetryPolicy;
  startToCloseMs?: number;
  poll?: PollPolicy;
  deadlineMs?: number;
  signals?: readonly string[];
  awaitsChildren?: boolean;
  closesAs?: string;
  on?: Record<string, string | undefined>;
}

/**
 * Declares a machine over a set of activities (their names and outcomes). A state or an outcome that does not exist,
 * and an outcome that leads nowhere, do not compile. The types do not know the outcomes of a wait state: they are
 * checked here.
 * Errors: DV_MACHINE_INVALID if the edges of a wait state are not exactly its outcomes.
 */
export function machineOver<A>() {
  return <const N extends string>(definition: {
    name: string;
    version: number;
    initial: NoInfer<N>;
    states: { [K in N]: StateDefinition<A, NoInfer<N>> };
  }): Machine => {
    const machine: Machine = definition;
    for (const [name, state] of Object.entries(machine.states)) checkWait(machine.name, name, state);
    return machine;
  };
}

function checkWait(machine: string, state: string, definition: StoredState): void {
  if (definition.kind !== 'wait') return;
  const ends = new Set([
    ...(definition.signals ?? []),
    ...(definition.awaitsChildren === true ? ['children_closed'] : []),
    ...(definition.deadlineMs === undefined ? [] : ['timeout']),
  ]);
  const wrong = ends.symmetricDifference(new Set(Object.keys(definition.on ?? {})));
  if (wrong.size > 0) {
    throw new DvError(
      'DV_MACHINE_INVALID',
      `State ${state} of machine ${machine}: give each of its signals, children_closed and timeout an edge, and nothing else. Wrong: ${[...wrong].join(', ')}.`,
    );
  }
}
