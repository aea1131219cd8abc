import type { CidSetEvent } from '../../bridge/index.ts';
import type { Db } from '../vsync/vsync-store.ts';

/**
 * Judges the undecided divergences of a round: those that a local change or an event of DICT's log explains become
 * IN_FLIGHT and are left alone. Explained means:
 * - locally: the CID was added or removed by a transaction that the round's snapshot does not see, or within the margin
 *   before the snapshot;
 * - at DICT: its log names the CID after the margin before the snapshot (`events`).
 * The key is recorded if the base knows or knew the CID, so that both CIDs of one changed key count as one. A key that
 * is known only after DICT is asked is judged again when it is applied. Returns how many CIDs are in flight.
 */
export async function judgeRound(
  tx: Db,
  runId: string,
  round: number,
  events: readonly CidSetEvent[],
): Promise<number> {
  // LATERAL with LIMIT: while the tables have no statistics, the planner chose the key's index for a join on
  // (participant, key type, CID), and read it completely for every divergence. For the same reason the events are a
  // hashed subplan, and the row is found by its ctid.
  const { rowCount } = await tx.query(
    `update dict.divergences d set decision = 'IN_FLIGHT', decided_at = workflow.now(), key = j.key,
       why = case when j.at_dict then 'DICT changed it since the snapshot' else 'it changed locally since the snapshot' end
     from (
       select o.ctid as place, coalesce(e.key, l.key) as key, coalesce(e.in_flight, false) or coalesce(l.in_flight, false) as here,
         o.cid in (select decode(hex, 'hex') from unnest($3::text[]) hex) as at_dict
       from dict.rounds r
       join dict.reconciliations n using (run_id)
       join dict.divergences o using (run_id, round)
       left join lateral (
         select e.key, dict.in_flight(e.changed_xid, e.since, e.changed_why, r) as in_flight from dict.entries e
         where e.participant = n.participant and e.key_type = n.key_type and e.cid = o.cid and e.removed_at is null
         limit 1) e on true
       left join lateral (
         select l.key, dict.in_flight(l.left_xid, l.left_at, l.left_why, r) as in_flight from dict.cid_log l
         where l.cid = o.cid and l.participant is not distinct from n.participant and l.key_type is not distinct from n.key_type
         order by l.id desc limit 1) l on true
       where r.run_id = $1 and r.round = $2 and o.decision = 'PENDING') j
     where d.ctid = j.place and (j.at_dict or j.here)`,
    [runId, round, events.map(({ cid }) => cid)],
  );
  return rowCount ?? 0;
}
