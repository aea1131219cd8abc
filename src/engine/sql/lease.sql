create or replace function workflow.lease() returns interval
language sql immutable as $$
  -- Five missed heartbeats (one every 2 s). With a sweep every 2 s a dead worker's runs continue within 15 s.
  select interval '10 seconds'
$$;
comment on function workflow.lease() is 'How long a worker may be silent before it is taken for dead.';
