create or replace function dict.expired_reconciliations(older_than interval) returns setof uuid
language sql stable as $$
  select r.run_id from dict.reconciliations r
  where r.ended_at < workflow.now() - older_than
    and not exists (select from workflow.runs w where w.id = r.run_id and w.closed_at is null)
    -- An open undo still needs the reconciliation, and so do keys that are held because of an undo.
    and not exists (
      select from dict.undos u
      where u.run_id = r.run_id and (u.ended_at is null or u.ended_at >= workflow.now() - older_than
        or exists (select from dict.held_keys h where h.undo_run_id = u.undo_run_id and h.released_at is null)))
$$;
comment on function dict.expired_reconciliations(interval) is 'The reconciliations that retention removes at this age.';
