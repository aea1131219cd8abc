import type { Entry } from '../dict/entry/entry.ts';
import type { KeyType } from '../dict/entry/key-type.ts';

/**
 * BACEN's file statuses (DICT API 2.6.1, schema FileStatus). New values are compatible changes for BACEN, so a file with
 * another status is waited for.
 */
export const FILE_STATUSES = ['REQUESTED', 'PROCESSING', 'AVAILABLE', 'UNAVAILABLE', 'ERROR'] as const;

export type FileStatus = (typeof FILE_STATUSES)[number];

export interface CallOptions {
  /** The caller's id, sent along for the Bridge's logs. */
  correlationId: string;
  /** Ends the call early, with DV_BRIDGE_CANCELLED. */
  signal?: AbortSignal;
  /** Milliseconds: for the whole call, for a download between two chunks. Default: the client's (30 s). */
  timeoutMs?: number;
}

/** What every answer of DICT contains. Times are RFC 3339 text, as DICT sent them. */
export interface Answered {
  /** DICT's own correlation id, to quote in a support ticket. */
  correlationId: string;
  responseTime: string;
}

export interface SyncVerification extends Answered {
  id: string;
  result: 'OK' | 'NOK';
}

export interface UnfinishedCidSetFile extends Answered {
  id: string;
  status: Exclude<FileStatus, 'AVAILABLE'>;
  /** The status that DICT named, if it is not one of FILE_STATUSES; `status` is then PROCESSING. */
  unknownStatus?: string | undefined;
  participant: string;
  keyType: KeyType;
  requestTime: string;
  creationTime?: undefined;
  url?: undefined;
  bytes?: undefined;
  sha256?: undefined;
}

export interface AvailableCidSetFile extends Answered {
  id: string;
  status: 'AVAILABLE';
  unknownStatus?: undefined;
  participant: string;
  keyType: KeyType;
  requestTime: string;
  /** The file contains the CIDs as of about this time. */
  creationTime: string;
  url?: string | undefined;
  bytes: number;
  /** 64 lower-case hex digits. */
  sha256: string;
}

/** DICT API 2.6.1, schema CidSetFile; narrow it by `status`. */
export type CidSetFile = UnfinishedCidSetFile | AvailableCidSetFile;

export interface CidSetEvent {
  type: 'ADDED' | 'REMOVED';
  /** 64 lower-case hex digits. */
  cid: string;
  timestamp: string;
}

/** DICT API 2.6.1, schema ListCidSetEventsResponse. */
export interface CidSetEvents extends Answered {
  hasMoreElements: boolean;
  participant: string;
  keyType: KeyType;
  /** Ascending by timestamp. */
  events: CidSetEvent[];
  /** Time of the first event, and the VSync after it. For a page without events, what DICT sent, if anything. */
  startTime?: string | undefined;
  syncVerifierStart?: string | undefined;
  /** Time of the last event, and the VSync after it. For a page without events, what DICT sent, if anything. */
  endTime?: string | undefined;
  syncVerifierEnd?: string | undefined;
}

export interface RegisteredEntry extends Answered {
  /** With its requestId. */
  entry: Entry;
  creationDate: string;
  keyOwnershipDate: string;
}

export interface EntryByCid extends RegisteredEntry {
  cid: string;
}

/** State of one token bucket of the participant (DICT API 2.6.1, schema Policy). */
export interface Policy {
  name: string;
  availableTokens: number;
  capacity: number;
  refillTokens: number;
  refillPeriodSec: number;
}

/**
 * DICT as the participant's Bridge offers it: one method for each operation of BACEN's API (proto/bridge.proto). Every
 * answer is checked before it is returned. All methods throw a DvError with the codes of src/bridge/errors.ts. This
 * client does not retry.
 */
export interface Bridge {
  /** Asks whether `vsync` (64 hex digits, from the local base) equals DICT's. */
  createSyncVerification(
    request: { participant: string; keyType: KeyType; vsync: string },
    call: CallOptions,
  ): Promise<SyncVerification>;

  /** Asks for a file of all CIDs, which DICT produces later. Each call asks for another file; the limit is 40 a day. */
  createCidSetFile(
    request: { participant: string; keyType: KeyType },
    call: CallOptions,
  ): Promise<CidSetFile>;

  getCidSetFile(request: { participant: string; id: string }, call: CallOptions): Promise<CidSetFile>;

  /** The file's bytes from byte `offset` to its end, unchecked: the caller checks size and sha256 of the whole file. */
  downloadCidSetFile(
    request: { participant: string; id: string; offset: number },
    call: CallOptions,
  ): AsyncIterable<Uint8Array>;

  /** Events between two times (RFC 3339), both inclusive; at most `limit` (1 to 200, default 100). */
  listCidSetEvents(
    request: {
      participant: string;
      keyType: KeyType;
      startTime?: string;
      endTime?: string | undefined;
      limit?: number;
    },
    call: CallOptions,
  ): Promise<CidSetEvents>;

  /** The active entry with this CID (64 hex digits). DV_DICT_NOT_FOUND when it is superseded. */
  getEntryByCid(request: { participant: string; cid: string }, call: CallOptions): Promise<EntryByCid>;

  /** Registers an entry, idempotent by its requestId. DICT generates the key of an EVP: pass ''. */
  createEntry(
    request: { entry: Entry; reason: 'USER_REQUESTED' | 'RECONCILIATION' },
    call: CallOptions,
  ): Promise<RegisteredEntry>;

  listPolicies(request: { participant: string }, call: CallOptions): Promise<Policy[]>;

  /** Closes the connection. Calls in progress and later calls end with DV_BRIDGE_CANCELLED. */
  close(): void;
}
