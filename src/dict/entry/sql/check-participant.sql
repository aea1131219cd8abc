-- Refuses what is not an ISPB (8 digits). DV_ISPB_INVALID.
create or replace function dict.check_participant(participant text) returns void
language plpgsql immutable as $$
begin
  if participant is null or participant !~ '^[0-9]{8}$' then
    perform workflow.raise_error('DV_ISPB_INVALID', 'A participant is named by its ISPB: 8 digits with leading zeros.');
  end if;
end $$;
