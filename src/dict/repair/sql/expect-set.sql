create or replace function dict.expect_set(run uuid, set_hash text) returns text
language plpgsql as $$
declare
  frozen text;
begin
  select r.set_hash into frozen from dict.rounds r where r.run_id = run order by round desc limit 1;
  if set_hash is not null and lower(set_hash) is distinct from frozen then
    perform workflow.raise_error('DV_SET_MISMATCH', format('The frozen set of run %s is %s, not the one named. Look at the new set before you decide.', run, frozen));
  end if;
  return frozen;
end $$;
comment on function dict.expect_set(uuid, text) is
  'The hash of the frozen set of a reconciliation. Errors: DV_SET_MISMATCH if set_hash (null: any) is another.';
