create or replace function workflow.assert_claim(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer as $$
begin
  perform workflow.fence(run_id, run_version, worker);
end $$;
comment on function workflow.assert_claim(uuid, bigint, text) is
  'Keeps a claimed run from being taken over till the transaction ends; DV_FENCED when it was taken over or closed. For what a step writes before its end: a worker that was frozen would else write over what another has done.';
