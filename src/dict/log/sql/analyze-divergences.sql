create or replace function dict.analyze_divergences() returns void
language plpgsql security definer as $$
begin
  -- As the owner: a worker's role may not be. Unlike VACUUM it may stand in a transaction, and sees what that wrote.
  analyze dict.divergences;
end $$;
comment on function dict.analyze_divergences() is
  'Brings the planner''s statistics up to date. Called when a comparison has written many: without them a new run''s divergences are taken for a handful, and joined by reading all for each.';
