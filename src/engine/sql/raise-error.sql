-- Errors of these functions: SQLSTATE DV000, DETAIL holds the stable code (DV_…), the message says what to do.
create or replace function workflow.raise_error(code text, message text) returns void
language plpgsql as $$
begin
  raise exception using errcode = 'DV000', message = message, detail = code;
end $$;
