create or replace function dict.refill_step(period interval, refill integer, out step interval, out gain integer)
language sql immutable as $$
  -- We count whole periods only, because DICT refills so ("reposição periódica") and may have no tokens in between. But
  -- we do not wait a whole day: with 40 files a day we try one every 36 minutes, and a 429 costs only another such
  -- wait.
  select case when slow then period / refill else period end, case when slow then 1 else refill end
  from (select period / refill > interval '1 minute' as slow) x
$$;
comment on function dict.refill_step(interval, integer) is
  'How long the wait for more tokens of a token bucket is, and how many there are then: the whole refill after each period, or one at a time if a token takes more than a minute.';
