-- In plpgsql, so that a session plans the query once: workers ask more than once a second.
create or replace function dict.retries_due() returns boolean
language plpgsql security definer as $$
begin
  return exists (select from dict.retries where due_at <= workflow.now());
end $$;
comment on function dict.retries_due() is 'Whether an automatic retry is due.';
