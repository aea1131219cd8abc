create or replace function dict.verification_closed() returns trigger
language plpgsql security definer as $$
declare
  found_out jsonb;
begin
  -- A run that reaches a terminal state has logged and published its result in steps of its own. Nothing here may fail,
  -- because an error would keep the run from closing.
  if exists (select from workflow.states s where (s.machine, s.version, s.state) = (new.machine, new.machine_version, new.state)
             and s.kind = 'terminal')
     or new.input ->> 'participant' is null or jsonb_typeof(new.input -> 'keyTypes') is distinct from 'array' then
    return null;
  end if;
  -- The results so far. A key type that was not reached is not known to be in sync.
  select coalesce(jsonb_object_agg(t, coalesce(new.context -> 'results' -> t, jsonb_build_object('result', 'ERROR', 'code',
      case when new.status in ('CANCELLED', 'TERMINATED') then 'DV_RUN_CANCELLED'
           else coalesce(new.error ->> 'code', 'DV_UNEXPECTED') end))), '{}')
    into found_out from jsonb_array_elements_text(new.input -> 'keyTypes') t where t is not null;
  perform dict.log_verification(new.id, found_out, new.closed_at);
  perform dict.publish_verification_summary(new.id);
  return null;
end $$;
comment on function dict.verification_closed() is
  'For a verification that was cancelled, terminated or poisoned, or that failed before its summary: logs it and publishes its results so far, in the transaction that closed the run.';
