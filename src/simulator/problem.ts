import type { DictStatus } from '../bridge/contract.ts';

/** The problem type of a status for which DICT has no more specific type (DICT API 2.6.1, "Tratamento de erros"). */
export const GENERAL_TYPES: Record<DictStatus, string> = {
  400: 'BadRequest',
  403: 'Forbidden',
  404: 'NotFound',
  410: 'Gone',
  429: 'RateLimited',
  500: 'InternalServerError',
  503: 'ServiceUnavailable',
};

/** DICT's error answer (RFC 7807; DICT API 2.6.1, schema Problem), independent of the protocol that carries it. */
export class DictProblem extends Error {
  readonly status: DictStatus;
  /** Last segment of the problem's type: NotFound, RequestIdAlreadyUsed, … */
  readonly type: string;
  /** Seconds, as in the header Retry-After. 503 has it. */
  readonly retryAfterSec: number | undefined;
  /** Set when the problem becomes an answer. */
  correlationId = '';

  constructor(
    status: DictStatus,
    detail: string,
    options: { type?: string; retryAfterSec?: number | undefined } = {},
  ) {
    super(detail);
    this.name = 'DictProblem';
    this.status = status;
    this.type = options.type ?? GENERAL_TYPES[status];
    this.retryAfterSec = options.retryAfterSec;
  }
}

/** A 400 with a specific type. */
export function refused(type: string, detail: string): DictProblem {
  return new DictProblem(400, detail, { type });
}
