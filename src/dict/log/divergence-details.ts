import type { Entry } from '../entry/entry.ts';
import type { Side } from '../repair/repair-lookup.ts';

/** A divergence with what is known about it without asking DICT. */
export interface DivergenceDetail {
  round: number;
  cid: Buffer;
  side: Side;
  decision: string;
  /** What the repair will do with it, or did; null: DICT was not asked before. */
  planned: string | null;
  why: string | null;
  keyType: string;
  /** Null: not known before DICT is asked. */
  key: string | null;
  /** "" for an entry without one; null: not known before DICT is asked. */
  branch: string | null;
  /** When the local base received the CID; null: it never had it. */
  cameAt: Date | null;
  /** The entry before the repair; while nothing is decided, the current local entry. */
  before: Partial<Entry> | null;
  /** The entry after the repair; if nothing was applied, DICT's last answer, if there is one. */
  after: Partial<Entry> | null;
  /** What differs between the two: owner, name, branch, account, registration. Empty if one is not known. */
  differs: DifferingField[];
}

/** A group of an entry's fields, as dict.differing_fields names it. */
export type DifferingField = 'owner' | 'name' | 'branch' | 'account' | 'registration';

/**
 * SQL for a DivergenceDetail of each row of `divergences`, a FROM item with the columns of dict.divergences. The column
 * names are those of the interface, in snake case. The key is taken from the first of these that has it: the decision,
 * DICT's answer (`finding`), the entry that has the CID, the CID log. LATERAL with a limit makes each row an index
 * lookup, even while the planner has no statistics of the tables yet; joins made it compare every row with every row.
 */
export const detailsOf = (divergences: string): string => `
  select d.round, d.cid, d.side, d.decision, d.planned, d.why, n.key_type,
    coalesce(d.key, d.finding #>> '{entry,key}', d.finding ->> 'key', e.key, l.key) as key,
    case when said.entry is not null then coalesce(said.entry ->> 'branch', '')
      when e.key is not null then coalesce(e.branch, '')
      when k.key is not null then coalesce(k.branch, '') end as branch,
    case when l.fits then l.came_at when d.side = 'LOCAL_ONLY' then e.since end as came_at,
    coalesce(d.before, case when d.decision in ('PENDING', 'HELD') then
      coalesce(dict.entry_json(e.entry), case when k.removed_at is null then dict.entry_json(k.entry) end) end) as before,
    coalesce(d.after, d.finding -> 'entry') as after
  from ${divergences} d
  join dict.rounds r using (run_id, round)
  join dict.reconciliations n using (run_id)
  cross join lateral (
    select case d.side when 'LOCAL_ONLY' then d.before else coalesce(d.after, d.finding -> 'entry') end as entry) said
  left join lateral (
    select x as entry, x.key, x.branch, x.since from dict.entries x
    where x.participant = n.participant and x.key_type = n.key_type and x.cid = d.cid and x.removed_at is null
    limit 1) e on true
  -- A CID may have been removed and added again. For a local CID the stay that ended since the snapshot counts, for one
  -- of DICT's the stay that ended before.
  left join lateral (
    select c.key, c.came_at, pg_visible_in_snapshot(c.left_xid, r.snapshot) = (d.side = 'DICT_ONLY') as fits
    from dict.cid_log c
    -- Not "=", so that the planner can use only the index on the CID.
    where c.cid = d.cid and c.participant is not distinct from n.participant and c.key_type is not distinct from n.key_type
    order by 3 desc, case d.side when 'DICT_ONLY' then -c.id else c.id end limit 1) l on true
  -- The key's local row, with another CID or removed.
  left join lateral (
    select x as entry, x.key, x.branch, x.removed_at from dict.entries x
    where e.key is null and x.participant = n.participant and x.key_type = n.key_type
      and x.key = coalesce(d.key, d.finding #>> '{entry,key}', d.finding ->> 'key', l.key)
    limit 1) k on true`;

/** The columns of detailsOf as a DivergenceDetail. */
export const DETAIL_COLUMNS = `round, cid, side, decision, planned, why, key_type as "keyType", key, branch,
  came_at as "cameAt", before, after, dict.differing_fields(before, after) as differs`;
