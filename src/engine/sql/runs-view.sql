create or replace view workflow.runs_view as
select r.id, r.machine, r.machine_version, r.workflow_key, r.status, r.state, r.attempt, s.max_attempts,
  case when r.closed_at is not null then null
       when said.waits_for is not null then said.waits_for
       when r.claimed_by is not null then 'the end of the step ' || r.state
       when r.status = 'WAITING' and s.awaits_children then 'the end of its children'
       when r.status = 'WAITING' then 'a signal: ' || array_to_string(s.signals, ' or ')
       when r.attempt > 0 then 'attempt ' || r.attempt + 1 || ' of the step ' || r.state
       else 'a worker for the step ' || r.state end as waits_for,
  r.wake_at, r.deadline, r.claimed_by, r.error ->> 'code' as error_code, r.error ->> 'message' as error_message,
  r.failed_state, r.parent_id, r.continued_from, r.started_by, r.correlation_id, r.input,
  r.created_at, r.updated_at, r.closed_at,
  coalesce(r.closed_at, workflow.now()) - r.created_at as duration
from workflow.runs r
join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state)
-- A step that has to wait may have said for what. The next attempt is another row of the history.
left join lateral (
  select h.detail ->> 'waitsFor' as waits_for from workflow.history h
  where h.run_id = r.id and r.closed_at is null and r.claimed_by is null
  order by h.id desc limit 1) said on true;
comment on view workflow.runs_view is 'Runs for people to read: status, state, what each run waits for, and its last error.';
