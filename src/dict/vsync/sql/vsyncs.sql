create or replace view dict.vsyncs as
select p.participant, t.key_type, v.entries, v.vsync, s.scanned_at, s.repaired_buckets,
  dict.incomplete(p.participant, t.key_type) as incomplete
from dict.known_participants p
cross join unnest(dict.key_types()) as t (key_type)
cross join lateral dict.vsync(p.participant, t.key_type) v
left join dict.vsync_scans s on s.participant = p.participant and s.key_type = t.key_type;
comment on view dict.vsyncs is
  'The five VSyncs of each participant, the number of entries, the last full scan, and whether keys of a connected table are missing.';
