-- Why a row of a mapping cannot be used, as a code; null when it can. The limits are ENTRY_LIMITS of
-- src/dict/entry/entry-limits.ts, which says why there are any.
create or replace function dict.feed_reason(s_participants text[], participant text, key_type text, key text, times bigint,
  request_id text, owner_type text, tax_id_number text, name text, trade_name text, branch text, account_number text,
  account_type text, bad_date boolean) returns text
language sql immutable
return case
  when participant !~ '^[0-9]{8}$' or participant <> all (s_participants) then 'PARTICIPANT_INVALID'
  when key_type <> all (dict.key_types()) then 'KEY_TYPE_UNKNOWN'
  when length(key) > 77 then 'KEY_INVALID'
  when times > 1 then 'KEY_TWICE'
  when coalesce(request_id, '') = '' then 'REQUEST_ID_MISSING'
  when request_id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then 'REQUEST_ID_INVALID'
  when owner_type is null then 'OWNER_TYPE_MISSING'
  when length(owner_type) > 40 then 'OWNER_TYPE_INVALID'
  when tax_id_number is null then 'TAX_ID_NUMBER_MISSING'
  when length(tax_id_number) > 40 then 'TAX_ID_NUMBER_INVALID'
  when name is null then 'NAME_MISSING'
  when length(name) > 300 then 'NAME_INVALID'
  when length(trade_name) > 200 then 'TRADE_NAME_INVALID'
  when length(branch) > 40 then 'BRANCH_INVALID'
  when account_number is null then 'ACCOUNT_NUMBER_MISSING'
  when length(account_number) > 40 then 'ACCOUNT_NUMBER_INVALID'
  when account_type is null then 'ACCOUNT_TYPE_MISSING'
  when length(account_type) > 40 then 'ACCOUNT_TYPE_INVALID'
  when bad_date then 'OPENING_DATE_INVALID'
end;
