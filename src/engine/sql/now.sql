create or replace function workflow.now() returns timestamptz
language sql volatile as $$
  select clock_timestamp() + offset_by from workflow.clock
$$;
comment on function workflow.now() is
  'The one clock of all workflows: the database''s, moved by workflow.clock (tests move it, nobody else).';
