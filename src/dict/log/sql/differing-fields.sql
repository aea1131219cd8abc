-- The opening date is not part of a CID, so DICT's may differ without being a divergence.
create or replace function dict.differing_fields(before jsonb, after jsonb) returns text[]
language sql immutable as $$
  select coalesce(array_agg(part order by place) filter (where differs), '{}')
  from (
    select part, min(n) as place,
      bool_or(coalesce(before ->> field, '') is distinct from coalesce(after ->> field, '')) as differs
    from (values
      (1, 'owner', 'taxIdNumber'), (2, 'owner', 'ownerType'), (3, 'name', 'name'), (4, 'name', 'tradeName'),
      (5, 'branch', 'branch'), (6, 'account', 'accountNumber'), (7, 'account', 'accountType'),
      (8, 'registration', 'requestId')) f (n, part, field)
    where before is not null and after is not null
    group by part) p
$$;
comment on function dict.differing_fields(jsonb, jsonb) is
  'What differs between two entries of a key: owner, name, branch, account, registration (the RequestId). Empty if one is not known.';
