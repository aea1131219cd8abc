-- A text as a time; null if it is not a time.
create or replace function dict.to_time(value text) returns timestamptz
language plpgsql stable as $$
begin
  return value::timestamptz;
exception when others then
  return null;
end $$;
