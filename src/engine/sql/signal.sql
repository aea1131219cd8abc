create or replace function workflow.signal(run_id uuid, signal_name text, payload jsonb default '{}',
  by_whom text default session_user, why text default null) returns void
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run_id for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run_id));
  end if;
  if r.closed_at is not null then
    perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s) and no longer accepts signals.', run_id, r.status));
  end if;
  insert into workflow.signals (run_id, name, payload, sent_by, reason, sent_at)
  values (r.id, signal_name, payload, by_whom, why, n);
  perform workflow.log(r, 'SIGNALLED', n, signal_name,
    detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    select * into s from workflow.states
    where machine = r.machine and version = r.machine_version and state = r.state;
    if s.kind = 'wait' then
      r := workflow.advance_waits(r, s);
      perform workflow.schedule_next(r, null, false);
    end if;
  end if;
end $$;
comment on function workflow.signal(uuid, text, jsonb, text, text) is
  'Sends a signal to a run. A run that waits for it continues immediately. Runs in the caller''s transaction.';
