-- A key that the mapping cannot name completely is recorded under the parts it does name; these are cut, because index
-- entries have a maximum size.
create or replace function dict.reject_ref(ref dict.key_ref) returns dict.key_ref
language sql immutable
return (left(coalesce((ref).participant, ''), 40), left(coalesce((ref).key_type, ''), 40),
    left(coalesce((ref).key, ''), 100))::dict.key_ref;
