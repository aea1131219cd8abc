-- A key the mapping cannot name whole is kept under what it does name; cut, because an index has its limits.
create or replace function dict.reject_ref(ref dict.key_ref) returns dict.key_ref
language sql immutable
return (left(coalesce((ref).participant, ''), 40), left(coalesce((ref).key_type, ''), 40),
    left(coalesce((ref).key, ''), 100))::dict.key_ref;
