import type { Activity, Effect, Result, Step } from '../../../src/engine/activity-contract.ts';

type Behaviour = (step: Step) => Result | Effect | Promise<Result | Effect>;

/** What the activities of a test do: by `<workflow key> <state>`, decided by the test. */
export class Script {
  readonly #behaviours = new Map<string, Behaviour>();
  /** `<workflow key> <state> <attempt>` of every step begun. */
  readonly begun: string[] = [];

  on(key: string, state: string, behaviour: Behaviour): void {
    this.#behaviours.set(`${key} ${state}`, behaviour);
  }

  /** Forgets all behaviours and all that was begun. */
  clear(): void {
    this.#behaviours.clear();
    this.begun.length = 0;
  }

  async act(step: Step, otherwise: string): Promise<Result | Effect> {
    this.begun.push(`${step.run.workflowKey} ${step.state} ${step.attempt}`);
    const behaviour = this.#behaviours.get(`${step.run.workflowKey} ${step.state}`);
    return behaviour === undefined ? { outcome: otherwise } : behaviour(step);
  }

  /** How often a run's state was begun. */
  count(key: string, state: string): number {
    return this.begun.filter((step) => step.startsWith(`${key} ${state} `)).length;
  }
}

/** An activity that does what the script says, or else ends immediately with `otherwise`. */
export function scripted<O extends string>(otherwise: NoInfer<O>): Activity<O, Script> {
  return async (step, script) => script.act(step, otherwise) as Promise<Result<O> | Effect<O>>;
}
