create or replace function workflow.take_tick(schedule_name text, ticks timestamptz[], newest_age interval) returns timestamptz
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  last timestamptz;
  newest timestamptz;
begin
  select last_tick into last from workflow.schedules where name = schedule_name for update;
  select max(t) into newest from unnest(ticks) t where t > last and t <= n;
  if newest is null then
    return null;
  end if;
  insert into workflow.schedule_ticks (schedule, tick, outcome, decided_at)
  select schedule_name, t, case when t = newest and t > n - newest_age then 'FIRED' else 'SKIPPED' end, n
  from unnest(ticks) t where t > last and t <= n
  on conflict do nothing;
  update workflow.schedules set last_tick = newest where name = schedule_name;
  return case when newest > n - newest_age then newest end;
end $$;
comment on function workflow.take_tick(text, timestamptz[], interval) is
  'Decides the due ticks of a schedule, once for all workers. Of the ticks after the last decided one, the newest fires if it is younger than the limit; the others are SKIPPED. Returns the tick to fire, or null.';
