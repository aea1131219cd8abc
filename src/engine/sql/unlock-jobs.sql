create or replace function workflow.unlock_jobs(graphile_pools text[]) returns void
language plpgsql security definer as $$
begin
  execute format('select %I.force_unlock_workers($1)',
    (select value from workflow.settings where name = 'graphile_worker_schema')) using graphile_pools;
end $$;
comment on function workflow.unlock_jobs(text[]) is
  'Unlocks the jobs that these pools of Graphile Worker have locked. Only for pools that are known to have ended.';
