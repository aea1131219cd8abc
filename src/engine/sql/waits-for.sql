-- Whether a run waits for this signal now.
create or replace function workflow.waits_for(run_id uuid, signal_name text) returns boolean
language sql stable security definer as $$
  select exists (
    select from workflow.runs r
    join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state)
    where r.id = run_id and r.status = 'WAITING' and signal_name = any (s.signals))
$$;
