create or replace view dict.known_participants as
-- The buckets are 20,480 rows for each participant. Stepping through the primary key reads one row for each
-- participant.
with recursive with_keys (participant) as (
  select min(participant) from dict.vsync_buckets
  union all
  select (select min(b.participant) from dict.vsync_buckets b where b.participant > w.participant)
  from with_keys w where w.participant is not null)
select participant from dict.participants
union
select participant from with_keys where participant is not null
union
select participant from dict.vsync_deltas
union
select participant from dict.cid_changes;
comment on view dict.known_participants is 'The configured participants, and those that ever had keys in the key base.';
