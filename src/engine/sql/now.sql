create or replace function workflow.now() returns timestamptz
language sql volatile as $$
  select clock_timestamp() + offset_by from workflow.clock
$$;
comment on function workflow.now() is
  'The clock of all workflows: the database''s time plus the offset in workflow.clock. Only tests change the offset.';
