import type { CidSetEvent } from '../bridge/index.ts';
import type { Db } from './vsync-store.ts';

/**
 * Judges the undecided divergences of a round: what a local change or an event of DICT's log explains is IN_FLIGHT
 * and left alone. Explained means:
 * - locally: the entry of the CID came, or the CID left, by a transaction the round's snapshot does not see, or within
 *   the margin before it;
 * - at DICT: its log names the CID from the margin before the snapshot on (`events`).
 * The key is noted where the base knows or knew the CID, so that both CIDs of one changed key count as one. A key that is
 * only known once DICT is asked is looked at again when it is applied. Returns how many CIDs are in flight.
 */
export async function judgeRound(
  tx: Db,
  runId: string,
  round: number,
  events: readonly CidSetEvent[],
): Promise<number> {
  // What was just written is not analysed yet, so the statement must not leave a choice. LATERAL with LIMIT: a join on
  // (participant, key type, CID) was planned by the key's index, which reads them whole for every divergence. By ctid: the
  // divergences joined with themselves were planned by the round alone, 36,000 times 36,000 rows in two minutes.
  const { rowCount } = await tx.query(
    `with explained as materialized (
       select o.ctid as place, coalesce(e.key, l.key) as key,
         case when at_dict.cid is not null then 'DICT changed it since the snapshot' else 'it changed locally since the snapshot' end as why
       from dict.divergences o
       join dict.rounds r using (run_id, round)
       join dict.reconciliations n using (run_id)
       left join (select distinct decode(hex, 'hex') as cid from unnest($3::text[]) hex) at_dict on at_dict.cid = o.cid
       left join lateral (
         select e.key, dict.in_flight(e.changed_xid, e.since, e.changed_why, r) as in_flight from dict.entries e
         where e.participant = n.participant and e.key_type = n.key_type and e.cid = o.cid and e.removed_at is null
         limit 1) e on true
       left join lateral (
         select l.key, dict.in_flight(l.left_xid, l.left_at, l.left_why, r) as in_flight from dict.cid_log l
         where l.cid = o.cid and l.participant is not distinct from n.participant and l.key_type is not distinct from n.key_type
         order by l.id desc limit 1) l on true
       where o.run_id = $1 and o.round = $2 and o.decision = 'PENDING'
         and (at_dict.cid is not null or e.in_flight or l.in_flight))
     update dict.divergences d set decision = 'IN_FLIGHT', decided_at = workflow.now(), key = x.key, why = x.why
     from explained x where d.ctid = x.place`,
    [runId, round, events.map(({ cid }) => cid)],
  );
  return rowCount ?? 0;
}
