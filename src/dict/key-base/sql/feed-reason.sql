-- Why a row of a mapping cannot be used, as a code; null when it can.
create or replace function dict.feed_reason(s_participants text[], participant text, key_type text, key text, times bigint,
  request_id text, owner_type text, tax_id_number text, name text, account_number text, account_type text,
  bad_date boolean) returns text
language sql immutable
return case
  when participant !~ '^[0-9]{8}$' or participant <> all (s_participants) then 'PARTICIPANT_INVALID'
  when key_type <> all (dict.key_types()) then 'KEY_TYPE_UNKNOWN'
  -- DICT API 2.6.1, Key: at most 77 characters.
  when length(key) > 77 then 'KEY_INVALID'
  when times > 1 then 'KEY_TWICE'
  when coalesce(request_id, '') = '' then 'REQUEST_ID_MISSING'
  when request_id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then 'REQUEST_ID_INVALID'
  when owner_type is null then 'OWNER_TYPE_MISSING'
  when tax_id_number is null then 'TAX_ID_NUMBER_MISSING'
  when name is null then 'NAME_MISSING'
  when account_number is null then 'ACCOUNT_NUMBER_MISSING'
  when account_type is null then 'ACCOUNT_TYPE_MISSING'
  when bad_date then 'OPENING_DATE_INVALID'
end;
