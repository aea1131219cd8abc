import { status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { DvError } from '../errors/dv-error.ts';
import type { ErrorCode } from '../errors/dv-error.ts';
import type { BridgeMethod } from './contract.ts';
import { CORRELATION_ID, PROBLEM_TYPE, RETRY_AFTER } from './contract.ts';

interface Meaning {
  code: ErrorCode;
  /** Follows "<method>: ". */
  text: string;
}

const RATE_LIMITED: Meaning = {
  code: 'DV_DICT_RATE_LIMITED',
  text: "DICT's limit for this operation is used up. Wait until its token bucket refills (see ListPolicies).",
};
const NOT_FOUND: Meaning = {
  code: 'DV_DICT_NOT_FOUND',
  text: 'DICT has nothing (any more) with this id or CID.',
};
const FORBIDDEN: Meaning = {
  code: 'DV_DICT_FORBIDDEN',
  text: 'DICT or the Bridge refuses this participant. Check PARTICIPANT_ISPB, and for which participants the Bridge may act.',
};
const BAD_REQUEST: Meaning = {
  code: 'DV_DICT_BAD_REQUEST',
  text: 'DICT refused the request as invalid. Look up the problem type in the DICT API, section "Tratamento de erros".',
};
const GONE: Meaning = {
  code: 'DV_DICT_GONE',
  text: 'DICT no longer keeps this. Ask for a new one.',
};
const UNAVAILABLE: Meaning = {
  code: 'DV_BRIDGE_UNAVAILABLE',
  text: 'The Bridge, or DICT behind it, cannot be reached. Check BRIDGE_ADDRESS and that the Bridge is running.',
};
const TIMEOUT: Meaning = {
  code: 'DV_BRIDGE_TIMEOUT',
  text: 'The Bridge did not answer in time.',
};
const UNIMPLEMENTED: Meaning = {
  code: 'DV_BRIDGE_UNIMPLEMENTED',
  text: 'The Bridge does not implement this method. Upgrade the Bridge to the current proto/bridge.proto.',
};
const CANCELLED: Meaning = {
  code: 'DV_BRIDGE_CANCELLED',
  text: 'The call was cancelled before the answer arrived.',
};
const INTERNAL: Meaning = {
  code: 'DV_DICT_INTERNAL',
  text: 'DICT or the Bridge had an internal error. If it continues, open a ticket with the correlation id.',
};

const MEANINGS: Readonly<Record<number, Meaning>> = {
  [status.RESOURCE_EXHAUSTED]: RATE_LIMITED,
  [status.NOT_FOUND]: NOT_FOUND,
  [status.PERMISSION_DENIED]: FORBIDDEN,
  [status.UNAUTHENTICATED]: FORBIDDEN,
  [status.INVALID_ARGUMENT]: BAD_REQUEST,
  [status.OUT_OF_RANGE]: BAD_REQUEST,
  [status.ALREADY_EXISTS]: BAD_REQUEST,
  [status.FAILED_PRECONDITION]: GONE,
  [status.UNAVAILABLE]: UNAVAILABLE,
  [status.DEADLINE_EXCEEDED]: TIMEOUT,
  [status.UNIMPLEMENTED]: UNIMPLEMENTED,
  [status.CANCELLED]: CANCELLED,
};

// The status message may quote the request (DICT's violations do), so it is never passed on. From an error that is
// not DICT's answer only the system's error code, or OpenSSL's verdict on a certificate, is passed on.
const CONNECTION_ERROR =
  /\b(?:ECONN(?:REFUSED|RESET|ABORTED)|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|(?:Hostname\/IP does not match |unable to [a-z ]*|self-signed )?certificate(?:'s altnames| has expired| is not yet valid)?)/;
const PROBLEM_TYPE_FORMAT = /^[A-Za-z]{1,60}$/;
const RETRY_AFTER_FORMAT = /^[0-9]{1,6}$/;
/**
 * A longer Retry-After is shortened to this (seconds). A call each half hour is no burden for DICT, and an outage that
 * ends earlier than announced must not cost the night.
 */
const RETRY_AFTER_MAX = 1800;
const CORRELATION_ID_FORMAT = /^[0-9A-Za-z-]{1,64}$/;

/**
 * A failed gRPC call as a DvError. The status determines class and code; retryAt comes from the trailer retry-after
 * (seconds from now, at most RETRY_AFTER_MAX). The text contains the problem type, and DICT's correlation id is kept.
 */
export function bridgeError(method: BridgeMethod, error: ServiceError): DvError {
  const meaning = MEANINGS[error.code] ?? INTERNAL;
  const problemType = trailer(error, PROBLEM_TYPE, PROBLEM_TYPE_FORMAT);
  const retryAfter = trailer(error, RETRY_AFTER, RETRY_AFTER_FORMAT);
  const correlationId = trailer(error, CORRELATION_ID, CORRELATION_ID_FORMAT);
  const cause = problemType ?? CONNECTION_ERROR.exec(error.details)?.[0];
  return new DvError(meaning.code, text(method, meaning, cause), {
    retryAt: retryAfter === undefined ? undefined : inSeconds(Math.min(Number(retryAfter), RETRY_AFTER_MAX)),
    correlationId,
    problemType,
  });
}

/** DV_BRIDGE_TIMEOUT of a download whose next chunk does not arrive. */
export function idleTimeout(method: BridgeMethod): DvError {
  return of(method, TIMEOUT);
}

/** DV_BRIDGE_CANCELLED of a call that was not started. */
export function cancelled(method: BridgeMethod): DvError {
  return of(method, CANCELLED);
}

/**
 * DV_BRIDGE_NONSENSE: an answer that cannot be right. `problems` name fields and rules, never values. `correlationId`
 * is that of the answer, if it has one.
 */
export function nonsense(method: BridgeMethod, problems: string[], correlationId?: unknown): DvError {
  return new DvError(
    'DV_BRIDGE_NONSENSE',
    `${method}: the Bridge gave an answer that cannot be right (${problems.join('; ')}). Nothing of it was used. Check the Bridge against proto/bridge.proto.`,
    typeof correlationId === 'string' && CORRELATION_ID_FORMAT.test(correlationId) ? { correlationId } : {},
  );
}

function of(method: BridgeMethod, meaning: Meaning): DvError {
  return new DvError(meaning.code, text(method, meaning));
}

function text(method: BridgeMethod, meaning: Meaning, cause?: string): string {
  return `${method}: ${meaning.text}${cause === undefined ? '' : ` (${cause})`}`;
}

function inSeconds(seconds: number): Date {
  return new Date(Date.now() + seconds * 1000);
}

function trailer(error: ServiceError, name: string, format: RegExp): string | undefined {
  const [value] = error.metadata.get(name);
  return typeof value === 'string' && format.test(value) ? value : undefined;
}
