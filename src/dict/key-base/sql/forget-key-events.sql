create or replace function dict.forget_key_events(days double precision, most integer default 10000) returns integer
language sql security definer as $$
  with old as (
    delete from dict.key_events
    where ctid = any (array(
      select ctid from dict.key_events where received_at < workflow.now() - days * interval '1 day' limit most))
    returning 1)
  select count(*)::integer from old
$$;
comment on function dict.forget_key_events(double precision, integer) is
  'Deletes received key events older than `days`, at most `most`; returns how many. The newest event of each key stays in dict.key_event_order.';
