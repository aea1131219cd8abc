import type { Logger } from 'pino';
import { DvError } from '../errors/dv-error.ts';
import type { Activities, Json, Result, Step, StepError, Transaction } from './activity-contract.ts';
import {
  type AttemptReport,
  type Claim,
  type Completion,
  isFenced,
  runOf,
  timedOut,
  toStepError,
  unlessAborted,
} from './claimed-step.ts';
import { one } from '../errors/rows.ts';
import type { Connections } from './query-timeout.ts';
import { crashPoint } from './crash-points.ts';
import { fromDatabase } from './database-errors.ts';
import { StatementBatcher } from './statement-batcher.ts';
import type { Machine } from './machine.ts';
import { inTransaction } from './transaction.ts';

export interface ExecutorOptions<S> {
  pool: Connections;
  workerId: string;
  machines: readonly Machine[];
  activities: Activities<S>;
  services: S;
  log: Logger;
  /** Fields of the run (such as the participant) that each log line of a step contains. */
  logFields?: ((run: Step['run']) => Json) | undefined;
  onAttempt?: ((report: AttemptReport) => void) | undefined;
}

const FAIL = 'select workflow.fail_step($1, $2, $3, $4, $5) as next';
/** An unreachable database is not a failure of the step: for at most one hour it uses up no attempt. */
const FAIL_BY_OUTAGE = `select workflow.fail_step($1, $2, $3, $4::jsonb ||
  jsonb_build_object('class', 'rate_limited', 'retryAt', workflow.now() + interval '2 seconds'), $5) as next`;
const RELEASE = 'select workflow.release_step($1, $2, $3)';
const HAND_OVER = 'select workflow.hand_over($1, $2, $3)';

const stopping = () => new DvError('DV_WORKER_STOPPING', 'The worker is stopping; the step is handed over.');
const cancelled = () => new DvError('DV_RUN_CANCELLED', 'The run was cancelled.');

/** A run that this process is working on. */
interface Active {
  controller: AbortController;
  /** Another job for the run was received meanwhile. It may be about something that the last claim did not see. */
  again: boolean;
}

/**
 * Performs the steps of runs: claim, work, one transaction. Continues as long as the next step is ready immediately.
 */
export class Executor<S> {
  readonly #options: ExecutorOptions<S>;
  readonly #active = new Map<string, Active>();
  readonly #claims: StatementBatcher<{ id: string }, Claim>;
  readonly #completions: StatementBatcher<Completion, Claim | null>;
  #stopping = false;

  constructor(options: ExecutorOptions<S>) {
    this.#options = options;
    const { pool, workerId } = options;
    this.#claims = new StatementBatcher(async (runs) => {
      const { rows } = await pool.query<{ id: string; next: Claim }>(
        'select run_id as id, next from workflow.claim_many($1, $2)',
        [runs.map(({ id }) => id), workerId],
      );
      return new Map(rows.map(({ id, next }) => [id, next]));
    });
    this.#completions = new StatementBatcher(async (steps) => {
      const { rows } = await pool.query<{ id: string; next: Claim | null }>(
        'select run_id as id, next from workflow.complete_many($1, $2, $3)',
        [workerId, JSON.stringify(steps), !this.#stopping],
      );
      return new Map(rows.map(({ id, next }) => [id, next]));
    });
  }

  /** The number of runs being worked on now. */
  get active(): number {
    return this.#active.size;
  }

  /** The ids of the runs being worked on now. */
  runs(): string[] {
    return [...this.#active.keys()];
  }

  /** Whether this process works on a run. */
  worksOn(runId: string): boolean {
    return this.#active.has(runId);
  }

  /** From now on no step is begun: steps that are ready go back to the queue. */
  drain(): void {
    this.#stopping = true;
  }

  /** Aborts all running attempts. Each step is handed over and uses up no attempt. */
  abortAll(): void {
    for (const { controller } of this.#active.values()) controller.abort(stopping());
  }

  /** Aborts the attempt of a run that was cancelled. */
  abortCancelled(runId: string): void {
    this.#active.get(runId)?.controller.abort(cancelled());
  }

  /** Advances a run as far as possible now. Throws only if the database is lost; the job is then retried. */
  async advance(runId: string): Promise<void> {
    const present = this.#active.get(runId);
    if (present !== undefined) {
      present.again = true;
      return;
    }
    const active: Active = { controller: new AbortController(), again: false };
    this.#active.set(runId, active);
    try {
      do {
        active.again = false;
        crashPoint('before-claim');
        let claim = await this.#claim(runId);
        while (claim !== null) {
          claim = await this.#perform(claim, active.controller);
        }
      } while (active.again);
      crashPoint('after-commit-before-acknowledgement');
    } finally {
      this.#active.delete(runId);
    }
  }

  /** Whether this program has the run's version of its machine, or a newer one. */
  #knows({ machine, machineVersion }: Claim): boolean {
    return this.#options.machines.some(({ name, version }) => name === machine && version >= machineVersion);
  }

  /** Leaves a step that this program cannot do to other workers. During an upgrade workers of several versions run. */
  async #leaveToOthers(claim: Claim, log: Logger): Promise<void> {
    log.warn(
      { machine: claim.machine, machineVersion: claim.machineVersion },
      'this program does not know this version of the machine; the step is left to workers of another version',
    );
    // If the version is known but the activity is not, releasing is enough: the job has the activity's name, and this
    // program takes no jobs with that name.
    await this.#options.pool.query(this.#knows(claim) ? RELEASE : HAND_OVER, this.#fence(claim));
  }

  /** Releases a claimed step without using up an attempt. Does nothing if the claim is no longer ours. */
  async release(claim: Pick<Claim, 'id' | 'version'>): Promise<void> {
    try {
      await this.#options.pool.query(RELEASE, this.#fence(claim));
    } catch (failure) {
      if (!isFenced(fromDatabase(failure))) throw failure;
    }
  }

  async #perform(claim: Claim, controller: AbortController): Promise<Claim | null> {
    const { activities, services, onAttempt } = this.#options;
    const log = this.#options.log.child({
      runId: claim.id,
      correlationId: claim.correlationId,
      activity: claim.task,
      attempt: claim.attempt,
      ...this.#options.logFields?.(runOf(claim)),
    });
    const began = performance.now();
    const report = (outcome: AttemptReport['outcome']) => {
      const seconds = (performance.now() - began) / 1000;
      onAttempt?.({ machine: claim.machine, activity: claim.task, outcome, seconds });
    };
    const timeLimit = AbortSignal.timeout(claim.startToCloseMs);
    const signal = AbortSignal.any([timeLimit, controller.signal]);
    const activity = activities[claim.task];
    if (activity === undefined || !this.#knows(claim)) {
      await this.#leaveToOthers(claim, log);
      report('released');
      return null;
    }
    try {
      const step: Step = {
        run: runOf(claim),
        state: claim.state,
        task: claim.task,
        attempt: claim.attempt,
        repetitions: claim.polls,
        enteredAt: new Date(claim.enteredAt),
        signal,
        log,
        fenced: async (work) => this.#fenced(claim, signal, work),
      };
      log.debug('step begins');
      crashPoint('step-claimed');
      const answer = await unlessAborted(activity(step, services), signal);
      crashPoint('after-activity-before-transaction');
      const next =
        typeof answer === 'function'
          ? await unlessAborted(
              inTransaction(
                this.#options.pool,
                async (tx) => {
                  const following = await this.#complete(tx, claim, await answer(tx));
                  crashPoint('after-effect-before-commit');
                  return following;
                },
                { signal },
              ),
              signal,
            )
          : await this.#completeTogether(claim, answer);
      report('completed');
      return next;
    } catch (thrown) {
      const known = fromDatabase(thrown);
      if (isFenced(known)) {
        log.warn({ code: known.code }, known.message);
        report('fenced');
        return null;
      }
      // An activity that was aborted may throw any error. The error to report is the reason for which we aborted it.
      const error = controller.signal.aborted
        ? (controller.signal.reason as DvError)
        : timeLimit.aborted
          ? timedOut(claim)
          : known;
      if (error instanceof DvError && error.code === 'DV_WORKER_STOPPING') {
        await this.release(claim);
        report('released');
        return null;
      }
      report('failed');
      return this.#fail(claim, toStepError(error, claim, log), log);
    }
  }

  async #claim(runId: string): Promise<Claim | null> {
    return (
      (await this.#claims.ask({ id: runId })) ??
      this.#call('select workflow.claim($1, $2) as next', [runId, this.#options.workerId])
    );
  }

  /**
   * Completes a step together with others that end at the same moment, or alone if workflow.complete_many leaves it.
   */
  async #completeTogether(claim: Claim, result: Result): Promise<Claim | null> {
    const next = await this.#completions.ask({ id: claim.id, version: claim.version, result });
    if (next !== undefined) return next;
    return this.#complete(this.#options.pool, claim, result);
  }

  async #complete(db: Pick<Connections, 'query'>, claim: Claim, result: Result): Promise<Claim | null> {
    if (result.children !== undefined) crashPoint('before-child-start');
    if (result.continueAsNew !== undefined) crashPoint('before-continue-as-new');
    const { rows } = await db.query<{ next: Claim | null }>(
      'select workflow.complete_step($1, $2, $3, $4, $5) as next',
      [...this.#fence(claim), JSON.stringify(result), !this.#stopping],
    );
    if (result.children !== undefined) crashPoint('after-child-start');
    if (result.continueAsNew !== undefined) crashPoint('after-continue-as-new');
    return one(rows).next;
  }

  async #fail(claim: Claim, error: StepError, log: Logger): Promise<Claim | null> {
    log.warn({ code: error.code, class: error.class, dictCorrelationId: error.correlationId }, error.message);
    crashPoint('before-fail');
    const outage = error.code === 'DV_DATABASE_UNREACHABLE';
    try {
      return await this.#call(outage ? FAIL_BY_OUTAGE : FAIL, [
        ...this.#fence(claim),
        JSON.stringify(error),
        !this.#stopping,
      ]);
    } catch (failure) {
      const known = fromDatabase(failure);
      if (isFenced(known)) return null;
      throw known;
    }
  }

  async #fenced<T>(claim: Claim, signal: AbortSignal, work: (tx: Transaction) => Promise<T>): Promise<T> {
    return inTransaction(
      this.#options.pool,
      async (tx) => {
        await tx.query('select workflow.assert_claim($1, $2, $3)', this.#fence(claim));
        return work(tx);
      },
      { signal },
    );
  }

  #fence(claim: Pick<Claim, 'id' | 'version'>): [string, number, string] {
    return [claim.id, claim.version, this.#options.workerId];
  }

  async #call(sql: string, values: unknown[]): Promise<Claim | null> {
    const { rows } = await this.#options.pool.query<{ next: Claim | null }>(sql, values);
    return one(rows).next;
  }
}
