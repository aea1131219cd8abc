create or replace function dict.seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer,
  of_period interval, available integer, overwrite boolean) returns void
language sql security definer as $$
  insert into dict.rate_limits as r (participant, policy, capacity, refill_tokens, refill_period, tokens, refilled_at)
  values (of_participant, of_policy, of_capacity, of_refill, of_period, least(available, of_capacity), workflow.now())
  on conflict (participant, policy) do update set
    capacity = excluded.capacity, refill_tokens = excluded.refill_tokens, refill_period = excluded.refill_period,
    -- DICT's number may not include our own calls in progress, so it never raises ours.
    tokens = least(r.tokens, excluded.tokens)
  where overwrite
$$;
comment on function dict.seed_rate_limit(text, text, integer, integer, interval, integer, boolean) is
  'Creates a token bucket, or with `overwrite` updates an existing one to what DICT says.';
