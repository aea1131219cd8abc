-- The participants that a request is about: the one given, or every configured one. Before the first worker has stored
-- which are configured, any one is accepted: its run waits for that worker. DV_ISPB_INVALID, DV_PARTICIPANT_UNKNOWN,
-- DV_PARTICIPANT_MISSING.
create or replace function dict.asked_participants(participant text) returns setof text
language plpgsql stable as $$
declare
  configured text[] := array(select p.participant from dict.participants p order by 1);
begin
  if participant is null then
    if cardinality(configured) = 0 then
      perform workflow.raise_error('DV_PARTICIPANT_MISSING', 'No participant is configured yet. Name one, or start a worker with PARTICIPANT_ISPB set.');
    end if;
    return query select unnest(configured);
    return;
  end if;
  perform dict.check_participant(participant);
  if cardinality(configured) > 0 and participant <> all (configured) then
    perform workflow.raise_error('DV_PARTICIPANT_UNKNOWN', format(
      'Participant %s is not configured. Configured are: %s. To add it, start the workers with its ISPB in PARTICIPANT_ISPB.',
      participant, array_to_string(configured, ', ')));
  end if;
  return next participant;
end $$;
