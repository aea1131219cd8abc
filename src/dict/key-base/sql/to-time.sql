-- A text as a time; null when it is none.
create or replace function dict.to_time(value text) returns timestamptz
language plpgsql stable as $$
begin
  return value::timestamptz;
exception when others then
  return null;
end $$;
