create or replace function workflow.grant_api(to_role regrole) returns void
language plpgsql as $$
declare
  f regprocedure;
begin
  execute format('grant usage on schema dict, workflow to %s', to_role);
  for f in select p.oid::regprocedure from pg_proc p
           where p.pronamespace = 'dict'::regnamespace and p.proname in ('start_verification', 'start_reconciliation',
               'approve_reconciliation', 'reject_reconciliation', 'register_local_only', 'remove_unsure', 'start_undo', 'release_keys', 'retry_outbox')
             or p.pronamespace = 'workflow'::regnamespace and p.proname in ('cancel', 'retry', 'find_run') loop
    execute format('grant execute on function %s to %s', f, to_role);
  end loop;
end $$;
comment on function workflow.grant_api(regrole) is
  'Grants a role the documented functions that start, approve or reject, undo, cancel and retry, and nothing else. Only the owner may call it.';
