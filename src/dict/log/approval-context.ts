import { one } from '../../errors/rows.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** What was found and done on one of the days before a reconciliation, for its participant and key type. */
export interface Night {
  /** Brasília's, YYYY-MM-DD. */
  day: string;
  /** DICT's last answer to a verification on that day; null: no verification got one. */
  verified: 'OK' | 'NOK' | 'ERROR' | null;
  reconciliations: number;
  /** Divergent CIDs that they found, and keys by what was done with them. */
  cids: number;
  added: number;
  corrected: number;
  removed: number;
  registered: number;
}

/** What a person needs for a decision about a round beside what it found. */
export interface ApprovalContext {
  /** The time of the round's snapshot, whose state the set shows, and how long ago that was. */
  snapshotAt: Date;
  ageSeconds: number;
  /** Keys that DICT has, as far as is known. */
  base: number;
  /** When the regulator's time between two OKs ends; null for a participant that is not configured. */
  deadline: { at: Date; hoursLeft: number; lastOkAt: Date | null } | null;
  /** The ten days before the one on which the reconciliation began, oldest first. */
  nights: Night[];
}

const NIGHTS = 10;

const CONTEXT = `
  select r.snapshot_at as "snapshotAt", extract(epoch from workflow.now() - r.snapshot_at)::float8 as "ageSeconds",
    (select greatest(v.entries, v.entries + coalesce(r.dict_only_cids - r.local_only_cids, 0))
     from dict.vsync(n.participant, n.key_type) v)::float8 as base,
    d.deadline_at as "deadlineAt", d.last_ok_at as "lastOkAt",
    extract(epoch from d.deadline_at - workflow.now())::float8 / 3600 as "hoursLeft",
    (select json_agg(json_build_object('day', to_char(g.day, 'YYYY-MM-DD'), 'verified', v.result,
       'reconciliations', o.runs, 'cids', o.cids, 'added', o.added, 'corrected', o.corrected, 'removed', o.removed,
       'registered', o.registered) order by g.day)
     from generate_series(1, ${NIGHTS}) ago
     cross join lateral (
       select (n.started_at at time zone 'America/Sao_Paulo')::date - ago as day) g
     cross join lateral (
       select g.day::timestamp at time zone 'America/Sao_Paulo' as begins,
         (g.day + 1)::timestamp at time zone 'America/Sao_Paulo' as ends) t
     left join lateral (
       select s.result from dict.sync_verifications s
       where s.participant = n.participant and s.key_type = n.key_type and s.purpose = 'VERIFICATION'
         and s.asked_at >= t.begins and s.asked_at < t.ends and s.result is not null
       order by s.asked_at desc limit 1) v on true
     cross join lateral (
       select count(*) as runs, coalesce(sum(dict_only_cids + local_only_cids), 0) as cids,
         coalesce(sum(keys_added), 0) as added, coalesce(sum(keys_corrected), 0) as corrected,
         coalesce(sum(keys_removed), 0) as removed, coalesce(sum(keys_registered), 0) as registered
       from dict.reconciliations x
       where x.participant = n.participant and x.key_type = n.key_type and x.started_at >= t.begins
         and x.started_at < t.ends) o) as nights
  from dict.rounds r
  join dict.reconciliations n using (run_id)
  left join dict.deadlines d on d.participant = n.participant and d.key_type = n.key_type
  where r.run_id = $1 and r.round = $2`;

/** Reads it for a round that exists. */
export async function readApprovalContext(db: Db, runId: string, round: number): Promise<ApprovalContext> {
  const { rows } = await db.query<
    Omit<ApprovalContext, 'deadline'> & { deadlineAt: Date | null; hoursLeft: number; lastOkAt: Date | null }
  >(CONTEXT, [runId, round]);
  const { deadlineAt, hoursLeft, lastOkAt, ...context } = one(rows);
  return { ...context, deadline: deadlineAt === null ? null : { at: deadlineAt, hoursLeft, lastOkAt } };
}
