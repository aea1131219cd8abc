import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isIspb } from '../dict/entry/ispb.ts';
import { isKeyType } from '../dict/entry/key-type.ts';
import type { Answer, CallFault, Faults } from './faults.ts';
import { Ledger } from './ledger.ts';
import type { Limits, Operation } from './limits.ts';
import { nonsenseAnswer } from './nonsense.ts';
import { DictProblem, GENERAL_TYPES } from './problem.ts';

export interface Caller {
  correlationId: string;
  /** Fires when the caller gave up. It ends calls that hang or are delayed. */
  signal?: AbortSignal;
}

/** The subject of a call, for faults and the ledger. */
export interface About {
  participant: string;
  keyType?: string;
  cid?: string;
}

interface GateParts {
  faults: Faults;
  /** Undefined: no limits. */
  limits: Limits | undefined;
  /** Whether the caller may act for this ISPB. */
  mayActFor: (participant: string) => boolean;
  /** Milliseconds since 1970. */
  now: () => number;
}

const RETRY_AFTER_SEC = 60;

/** The checks that every call passes before and after its work: faults, token bucket, permission, ledger. */
export class Gate {
  readonly ledger = new Ledger();
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /**
   * Runs one call. `work` makes the answer at `now`. Correlation id and response time are added to it. Throws
   * DictProblem, with status 500 for any other error of `work`.
   */
  async serve(
    operation: Operation,
    about: About,
    caller: Caller,
    work: (now: number, faults: readonly CallFault[]) => Answer,
  ): Promise<Answer> {
    const { faults: armed, limits, now } = this.#parts;
    const { participant, keyType, cid } = about;
    const at = now();
    const correlationId = randomUUID().replaceAll('-', '');
    const record = (status: number, problemType?: string) => {
      const call = { operation, participant, keyType, cid, at, status, problemType, correlationId };
      this.ledger.record({ ...call, callerCorrelationId: caller.correlationId });
    };
    const faults = armed.takeForCall({ operation, ...about });
    for (const fault of faults) {
      if (fault.kind === 'delay') await sleep(fault.delayMs, undefined, { signal: caller.signal });
    }
    const bucket = isIspb(participant) ? limits?.bucket(participant, operation, at) : undefined;
    const time = now();
    let answer: Answer;
    try {
      if (bucket?.take(time) === false) throw new DictProblem(429, 'Rate limited');
      this.#admit(about, faults);
      answer = { ...work(time, faults), correlationId, responseTime: iso(time) };
    } catch (error) {
      const problem = error instanceof DictProblem ? error : new DictProblem(500, 'Unexpected condition');
      problem.correlationId = correlationId;
      // "status diferente de 500: subtrai 1" (DICT API 2.6.1, "Regras de contagem das políticas").
      if (problem.status === 500) bucket?.giveBack();
      record(problem.status, problem.type);
      throw problem;
    }
    record(200);
    if (faults.some((fault) => fault.kind === 'hang')) await silence(caller.signal);
    const nonsense = faults.find((fault) => fault.kind === 'nonsense');
    if (nonsense === undefined) return answer;
    return nonsense.change?.(answer) ?? nonsenseAnswer(operation, answer, nonsense.as);
  }

  #admit({ participant, keyType }: About, faults: readonly CallFault[]): void {
    const fault = faults.find((candidate) => candidate.kind === 'problem');
    if (fault !== undefined) {
      const retryAfterSec = fault.retryAfterSec ?? (fault.status === 503 ? RETRY_AFTER_SEC : undefined);
      throw new DictProblem(fault.status, 'This fault is switched on in the simulator', {
        type: fault.type ?? GENERAL_TYPES[fault.status],
        retryAfterSec,
      });
    }
    if (!isIspb(participant)) throw new DictProblem(400, 'Participant is not an ISPB');
    if (!this.#parts.mayActFor(participant)) {
      throw new DictProblem(403, 'Participant is not an indirect participant of the submitter');
    }
    if (keyType !== undefined && !isKeyType(keyType)) throw new DictProblem(400, 'KeyType is unknown');
  }
}

/** A time as DICT writes it: RFC 3339 with milliseconds, UTC. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Never resolves. Rejects when the caller has ended the call. */
function silence(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const gone = () => reject(new DictProblem(503, 'The caller has ended the call'));
    if (signal?.aborted) gone();
    signal?.addEventListener('abort', gone, { once: true });
  });
}
