-- Whether a mapping named a key completely: participant, key type and key.
create or replace function dict.is_named(ref dict.key_ref) returns boolean
language sql immutable
return coalesce((ref).participant <> '' and (ref).key_type <> '' and (ref).key <> '', false);
