create or replace function dict.verification_closed() returns trigger
language plpgsql security definer as $$
declare
  found_out jsonb;
begin
  -- What the machine ends by itself it has logged and told in steps of its own. Nothing here may fail: it would keep the
  -- run from ending.
  if exists (select from workflow.states s where (s.machine, s.version, s.state) = (new.machine, new.machine_version, new.state)
             and s.kind = 'terminal')
     or new.input ->> 'participant' is null or jsonb_typeof(new.input -> 'keyTypes') is distinct from 'array' then
    return null;
  end if;
  -- What it knows; a key type that it did not come to is not known to be in sync.
  select coalesce(jsonb_object_agg(t, coalesce(new.context -> 'results' -> t, jsonb_build_object('result', 'ERROR', 'code',
      case when new.status in ('CANCELLED', 'TERMINATED') then 'DV_RUN_CANCELLED'
           else coalesce(new.error ->> 'code', 'DV_UNEXPECTED') end))), '{}')
    into found_out from jsonb_array_elements_text(new.input -> 'keyTypes') t where t is not null;
  perform dict.log_verification(new.id, found_out, new.closed_at);
  perform dict.publish_verification_summary(new.id);
  return null;
end $$;
comment on function dict.verification_closed() is
  'Logs a verification that was cancelled, terminated or poisoned, or that failed before its summary, and tells Core-Dict what it knows, in the transaction that closed the run.';
