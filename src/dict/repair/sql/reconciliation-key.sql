create or replace function dict.reconciliation_key(participant text, key_type text) returns text
language sql immutable
return 'reconciliation:' || participant || ':' || key_type;
comment on function dict.reconciliation_key(text, text) is 'The workflow key of the reconciliations of a participant and key type.';
