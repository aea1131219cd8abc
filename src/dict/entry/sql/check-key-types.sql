-- The key types asked for, sorted and without duplicates; null means all five. DV_KEY_TYPE_UNKNOWN.
create or replace function dict.check_key_types(asked text[]) returns text[]
language plpgsql immutable as $$
begin
  if asked is null then
    return dict.key_types();
  end if;
  if cardinality(asked) = 0 or not asked <@ dict.key_types() then
    perform workflow.raise_error('DV_KEY_TYPE_UNKNOWN',
      'Unknown key type. Use one or more of ' || array_to_string(dict.key_types(), ', ') || '.');
  end if;
  return array(select distinct t from unnest(asked) t order by 1);
end $$;
