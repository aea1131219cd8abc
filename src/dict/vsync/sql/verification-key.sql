create or replace function dict.verification_key(participant text, key_types text[]) returns text
language sql immutable as $$
  select 'verification:' || participant || ':' || string_agg(distinct t, ',' order by t) from unnest(key_types) t
$$;
comment on function dict.verification_key(text, text[]) is
  'The workflow key of the verifications of a participant and a set of key types, in any order.';
