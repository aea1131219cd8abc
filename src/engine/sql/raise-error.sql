-- Raises one of our errors: SQLSTATE DV000. DETAIL is the stable code (DV_…), and the message says what to do.
create or replace function workflow.raise_error(code text, message text) returns void
language plpgsql as $$
begin
  raise exception using errcode = 'DV000', message = message, detail = code;
end $$;
