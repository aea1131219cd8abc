create or replace function dict.hex(bits bit(256)) returns text
language sql immutable parallel safe as $$
  select string_agg(lpad(to_hex(substring(bits from i * 32 + 1 for 32)::bit(32)::bigint), 8, '0'), '' order by i)
  from generate_series(0, 7) i
$$;
comment on function dict.hex(bit) is 'A VSync as BACEN writes it: 64 lowercase hex digits.';
