import type { Activity } from '../engine/index.ts';
import { parseIspb } from '../dict/entry/ispb.ts';
import { parseKeyType, type KeyType } from '../dict/entry/key-type.ts';
import type { VerifiedKeyType } from '../notify/index.ts';
import type { Services } from './activity-services.ts';

/** Declares an activity with the outcomes it may have; a machine must say where each leads. */
export function activity<O extends string>(work: Activity<O, Services>): Activity<O, Services> {
  return work;
}

/** What a run of `verification` is started with. */
export function verificationInput(input: Record<string, unknown>): {
  participant: string;
  keyTypes: KeyType[];
} {
  const keyTypes = Array.isArray(input['keyTypes']) ? input['keyTypes'] : [];
  return {
    participant: parseIspb(String(input['participant'])),
    keyTypes: keyTypes.map((keyType) => parseKeyType(String(keyType))),
  };
}

/** What a run of `reconciliation` is started with. */
export function reconciliationInput(input: Record<string, unknown>): {
  participant: string;
  keyType: KeyType;
} {
  return {
    participant: parseIspb(String(input['participant'])),
    keyType: parseKeyType(String(input['keyType'])),
  };
}

/** What a run of `undo` is started with: the scope, and the reconciliation that it undoes. */
export function undoInput(input: Record<string, unknown>): {
  participant: string;
  keyType: KeyType;
  runId: string;
} {
  return { ...reconciliationInput(input), runId: String(input['run']) };
}

/** What a verification remembers between its steps. */
export interface VerificationContext {
  /** Still to be recalculated from the entries before anything is sent. */
  toScan: KeyType[];
  /** Still to be sent to DICT. */
  todo: KeyType[];
  /** Put aside: DICT or the Bridge kept failing. */
  skipped: KeyType[];
  results: Partial<Record<KeyType, VerifiedKeyType>>;
  /** NOKs in a row of the types still in `todo`. */
  noks?: Partial<Record<KeyType, number>>;
}

/** Fresh reads of the local VSync that DICT must call NOK, a few seconds apart, before a NOK is believed. */
export const NOKS_BELIEVED = 3;

/** What a reconciliation remembers between its steps. */
export interface ReconciliationContext {
  /** The comparison it is at, from 1. */
  round: number;
  /** How often DICT said NOK after a repair, and how often it did so in a row for the VSync being confirmed. */
  noks?: number;
  reads?: number;
  /** Why the round goes by the CID file and not by the event log. */
  wayReason?: string;
  /** Whether a round of this run went by the event log already. */
  replayed?: boolean;
  /** Whether it ends with CIDs put aside. */
  quarantined?: boolean;
  /** The CID file of the round. */
  file?: { row: string; id: string; bytes?: number; sha256?: string };
  /** The signal that ended the last wait. */
  signal?: { name: string; by: string; reason?: string };
}
