create or replace function dict.refill_step(period interval, refill integer, out step interval, out gain integer)
language sql immutable as $$
  -- Whole periods only, as DICT refills ("reposição periódica"): what we hope for in between it may not have. But not
  -- a day long: of 40 files a day one is hoped for every 36 minutes, and a 429 costs no more than another such wait.
  select case when slow then period / refill else period end, case when slow then 1 else refill end
  from (select period / refill > interval '1 minute' as slow) x
$$;
comment on function dict.refill_step(interval, integer) is
  'How long the wait for more tokens of a bucket is, and how many come then: the whole refill a period, but one at a time where a token takes more than a minute.';
