create or replace function dict.analyze_divergences() returns void
language plpgsql security definer as $$
begin
  -- Runs as the owner, because a worker's role may not analyze. Unlike VACUUM, ANALYZE can run in a transaction and
  -- sees its writes.
  analyze dict.divergences;
end $$;
comment on function dict.analyze_divergences() is
  'Updates the planner''s statistics. Called when a comparison has written many divergences: without statistics the planner expects only a few rows in a new run, and its joins then read all rows for each row.';
