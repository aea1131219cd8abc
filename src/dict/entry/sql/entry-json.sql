create or replace function dict.entry_json(e dict.entries) returns jsonb
language sql stable as $$
  select case when e.key is not null then jsonb_build_object(
    'participant', e.participant, 'keyType', e.key_type, 'key', e.key, 'requestId', e.request_id,
    'ownerType', e.owner_type, 'taxIdNumber', e.tax_id_number, 'name', e.name, 'tradeName', e.trade_name,
    'branch', e.branch, 'accountNumber', e.account_number, 'accountType', e.account_type,
    'openingDate', e.opening_date, 'cid', encode(e.cid, 'hex')) end
$$;
comment on function dict.entry_json(dict.entries) is 'An entry as divergences and messages to Core-Dict show it.';
