import type { Activity, Effect, Json, Result, Step } from './activity-contract.ts';

/** The declared fields of a stored object. Unknown fields are kept, but code cannot read or write them by accident. */
export type Declared<T> = { [K in keyof T as string extends K ? never : K]: T[K] };

/** How a machine's stored JSON is read. Both throw a DvError that is not retryable if the JSON is not as declared. */
export interface StoredJson<I, C> {
  readInput: (stored: Json) => I;
  readContext: (stored: Json) => C;
}

/** A step with the run's input and context read as its machine declares them. */
export interface TypedStep<I, C> extends Omit<Step, 'run'> {
  run: Omit<Step['run'], 'input' | 'context'>;
  input: Declared<I>;
  context: Declared<C>;
}

export type TypedActivity<O extends string, S, I, C> = (
  step: TypedStep<I, C>,
  services: S,
) => Promise<Result<O, Declared<C>> | Effect<O, Declared<C>>>;

/**
 * Turns an activity with typed input and context into an activity for the engine. Input and context are read before the
 * activity begins. If they cannot be read, the step fails; they never count as empty.
 */
export function typedActivity<O extends string, S, I extends Json, C extends Json>(
  { readInput, readContext }: StoredJson<I, C>,
  work: TypedActivity<O, S, I, C>,
): Activity<O, S> {
  return async ({ run, ...step }, services) => {
    const { input, context, ...rest } = run;
    return work({ ...step, run: rest, input: readInput(input), context: readContext(context) }, services);
  };
}
