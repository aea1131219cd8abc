create or replace function workflow.version_task(machine text, machine_version integer) returns text
language sql immutable as $$ select 'machine:' || machine || ':' || machine_version $$;
comment on function workflow.version_task(text, integer) is
  'The task of a job that only programs with this version of the machine may take.';
