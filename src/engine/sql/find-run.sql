create or replace function workflow.find_run(name text) returns uuid
language plpgsql stable security definer as $$
declare
  found_id uuid;
begin
  if name ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    select id into found_id from workflow.runs where id = name::uuid;
  else
    select id into found_id from workflow.runs where workflow_key = name
    order by (closed_at is null) desc, id desc limit 1;
  end if;
  if found_id is null then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', 'There is no such run. `dict-vsync list` shows the runs; name a run by its id or its workflow key.');
  end if;
  return found_id;
end $$;
comment on function workflow.find_run(text) is 'The id of the run with this id or workflow key. Of several runs with one workflow key: the open one, otherwise the newest.';
