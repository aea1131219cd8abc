create or replace function dict.vsync(of_participant text, of_key_type text, out entries bigint, out vsync text)
language sql stable security definer as $$
  select coalesce(sum(count), 0), dict.hex(coalesce(bit_xor(xor), repeat('0', 256)::bit(256)))
  from dict.vsync_parts where participant = of_participant and key_type = of_key_type
$$;
comment on function dict.vsync(text, text) is
  'The VSync of a participant and key type (64 hex digits; the empty set is 64 zeros) and how many entries it covers. Takes about a millisecond with any number of keys.';
