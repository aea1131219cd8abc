import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** A VSync that a run sent to DICT, and DICT's answer. */
export interface SentVSyncReport {
  keyType: KeyType;
  vsync: string;
  entries: number;
  askedAt: Date;
  /** Null: not answered yet. */
  result: 'OK' | 'NOK' | 'ERROR' | null;
  errorCode: string | null;
  /** DICT's correlation id, to quote in a support ticket. */
  correlationId: string | null;
}

/** What a verification or reconciliation sent to DICT, oldest first. */
export async function readSentVSyncs(db: Db, runId: string): Promise<SentVSyncReport[]> {
  const { rows } = await db.query<SentVSyncReport>(
    `select key_type as "keyType", vsync, entries::float8 as entries, asked_at as "askedAt", result,
       error_code as "errorCode", correlation_id as "correlationId"
     from dict.sync_verifications where run_id = $1 order by asked_at`,
    [runId],
  );
  return rows;
}

/** One comparison of a reconciliation; counts and hash are null until it has ended. */
export interface RoundReport {
  round: number;
  snapshotAt: Date;
  comparedAt: Date | null;
  fileCids: number | null;
  dictOnlyCids: number | null;
  localOnlyCids: number | null;
  /** Local-only keys of this comparison that a person marked to be registered at DICT. */
  toRegister: number;
  /** SHA-256 of the frozen set, which a person approves. */
  setHash: string | null;
  approvedBy: string | null;
  approvedWhy: string | null;
}

/** The comparisons of a reconciliation, oldest first. */
export async function readRounds(db: Db, runId: string): Promise<RoundReport[]> {
  const { rows } = await db.query<RoundReport>(
    `select round, snapshot_at as "snapshotAt", compared_at as "comparedAt", file_cids::float8 as "fileCids",
       dict_only_cids::float8 as "dictOnlyCids", local_only_cids::float8 as "localOnlyCids", set_hash as "setHash",
       approved_by as "approvedBy", approved_why as "approvedWhy",
       (select count(*) from dict.divergences d
        where d.run_id = r.run_id and d.round = r.round and d.plan = 'REGISTER')::float8 as "toRegister"
     from dict.rounds r where run_id = $1 order by round`,
    [runId],
  );
  return rows;
}
