import type { Activity, Effect, Json, Result, Step } from './activity-contract.ts';

/** A stored object's fields without the unknown ones, which are kept but which nobody may read or write by accident. */
export type Declared<T> = { [K in keyof T as string extends K ? never : K]: T[K] };

/** How a machine's stored JSON is read. Both throw a DvError that is not retryable when it is not what was declared. */
export interface StoredJson<I, C> {
  readInput: (stored: Json) => I;
  readContext: (stored: Json) => C;
}

/** A step whose run's input and context were read as what its machine declares. */
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
 * An activity for the engine, made of one that is given typed input and context. Both are read before it begins: what
 * cannot be read fails the step and is never taken for empty.
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
