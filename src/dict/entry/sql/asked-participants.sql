-- The participants that a request is about: the one given, or every configured one. DV_ISPB_INVALID,
-- DV_PARTICIPANT_MISSING.
create or replace function dict.asked_participants(participant text) returns setof text
language plpgsql stable as $$
begin
  if participant is not null then
    perform dict.check_participant(participant);
    return next participant;
  elsif not exists (select from dict.participants) then
    perform workflow.raise_error('DV_PARTICIPANT_MISSING', 'No participant is configured yet. Name one, or start a worker with PARTICIPANT_ISPB set.');
  else
    return query select p.participant from dict.participants p order by 1;
  end if;
end $$;
