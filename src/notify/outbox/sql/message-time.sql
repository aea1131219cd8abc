create or replace function dict.message_time(at timestamptz) returns text
language sql stable as $$ select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
comment on function dict.message_time(timestamptz) is 'Formats a time as in messages to Core-Dict: ISO 8601, UTC, with milliseconds.';
