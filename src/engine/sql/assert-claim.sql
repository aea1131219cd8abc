create or replace function workflow.assert_claim(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer as $$
begin
  perform workflow.fence(run_id, run_version, worker);
end $$;
comment on function workflow.assert_claim(uuid, bigint, text) is
  'Ensures that a claimed run is not taken over before this transaction ends. DV_FENCED if it was already taken over or closed. A step calls it before it writes anything ahead of its final transaction: otherwise a worker that was frozen could overwrite what another worker has done.';
