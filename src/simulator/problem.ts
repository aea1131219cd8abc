import type { DictStatus } from '../bridge/contract.ts';

/** The problem type DICT gives a status that no more special one fits (DICT API 2.6.1, "Tratamento de erros"). */
export const GENERAL_TYPES: Record<DictStatus, string> = {
  400: 'BadRequest',
  403: 'Forbidden',
  404: 'NotFound',
  410: 'Gone',
  429: 'RateLimited',
  500: 'InternalServerError',
  503: 'ServiceUnavailable',
};

/** DICT's error answer (RFC 7807; DICT API 2.6.1, schema Problem), for any face to put into its protocol's words. */
export class DictProblem extends Error {
  readonly status: DictStatus;
  /** Last segment of the problem's type: NotFound, RequestIdAlreadyUsed, … */
  readonly type: string;
  /** Seconds, as the header Retry-After; 503 has one. */
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

/** A 400 of a special type. */
export function refused(type: string, detail: string): DictProblem {
  return new DictProblem(400, detail, { type });
}
