create or replace function workflow.complete_many(worker text, steps jsonb, stay boolean) returns table (run_id uuid, next jsonb)
language plpgsql security definer
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  n timestamptz := workflow.now();
begin
  return query
  with locked as materialized (
    -- Found by id only. SKIP LOCKED: this statement never waits for a row while it has locked others.
    select r.*, a.place, a.result, a.version as claimed_version
    from rows from (jsonb_to_recordset(steps) as (id uuid, version bigint, result jsonb)) with ordinality
      as a (id, version, result, place)
    join workflow.runs r on r.id = a.id
    for update of r skip locked
  ), ended as (
    select r.place, r.result, r.id, r.version, r.state, r.attempt, t.outcome, x.state as target, x.closes_as, x.deadline,
      x.kind = 'terminal' as closes,
      -- The error of an earlier attempt is cleared, because this attempt succeeded. On a failure path the error stays.
      coalesce(r.result -> 'error', case when r.failed_state is not null then r.error end) as error,
      case when r.result -> 'error' is not null then r.state else r.failed_state end as failed_state
    from locked r
    join workflow.states s on s.machine = r.machine and s.version = r.machine_version and s.state = r.state
    join workflow.transitions t on t.machine = r.machine and t.version = r.machine_version and t.state = r.state
      and t.outcome = r.result ->> 'outcome'
    join workflow.states x on x.machine = t.machine and x.version = t.version and x.state = t.next_state
    -- The compare-and-set: the run must still be as this worker claimed it.
    where r.version = r.claimed_version and r.claimed_by = worker and r.closed_at is null
      and r.cancel_requested_at is null
      and not r.result ?| array['children', 'continueAsNew', 'wakeAfterMs']
      and (s.kind, t.outcome) not in (('poll', 'pending'), ('loop', 'again'))
      and (stay and x.task is not null
           or x.closes_as not in ('CONTINUED', 'FAILED') and r.parent_id is null and not exists (
             select from workflow.runs c
             where c.parent_id = r.id and c.closed_at is null and c.parent_close_policy <> 'ABANDON'))
  ), moved as (
    update workflow.runs r set
      state = e.target, status = coalesce(e.closes_as, 'RUNNING'), context = r.context || coalesce(e.result -> 'context', '{}'),
      version = case when e.closes then r.version else r.version + 1 end,
      attempt = case when e.closes then 0 else 1 end,
      polls = case when e.closes then r.polls else 0 end,
      error = e.error,
      failed_state = case when not e.closes then e.failed_state end,
      entered_at = case when e.closes then r.entered_at else n end,
      deadline = case when not e.closes then n + e.deadline end,
      wake_at = case when not e.closes then r.wake_at end,
      claimed_by = case when not e.closes then worker end,
      claimed_at = case when not e.closes then n end,
      closed_at = case when e.closes then n end,
      updated_at = n
    from ended e where r.id = e.id returning r.*
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, outcome, next_state, at, worker, detail)
    select e.id, h.version, h.event, h.state, h.attempt, h.outcome, h.next_state, n, worker, h.detail
    from ended e, lateral (values
      (1, e.version, 'COMPLETED', e.state, e.attempt, e.outcome, e.target, e.result -> 'detail'),
      (2, case when e.closes then e.version else e.version + 1 end, case when e.closes then 'CLOSED' else 'STARTED' end,
       e.target, case when e.closes then 0 else 1 end, e.closes_as, null, null)
    ) as h (line, version, event, state, attempt, outcome, next_state, detail)
    order by e.place, h.line
  )
  select m.id, case when m.closed_at is null then workflow.step_of(m::workflow.runs, x) end from moved m
  join workflow.states x on x.machine = m.machine and x.version = m.machine_version and x.state = m.state;
end $$;
comment on function workflow.complete_many(text, jsonb, boolean) is
  'Completes several steps, [{id, version, result}], but handles only the simple cases: a step that leads to another step, or to a final state (other than FAILED) of a run without parent, open children or successor. Returns those; the others stay unchanged, for workflow.complete_step.';
