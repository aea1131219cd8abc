create or replace function dict.empty_bucket(of_participant text, of_policy text, stay_away interval) returns timestamptz
language sql security definer as $$
  -- DICT has fewer tokens than we computed. Its next refill is at an unknown time, so we wait a whole step from now.
  -- The 429 of another call may have asked for a longer wait.
  update dict.rate_limits set tokens = 0, refilled_at = workflow.now(),
    blocked_until = greatest(blocked_until, workflow.now() + stay_away)
  where participant = of_participant and policy = of_policy
  returning coalesce(blocked_until, refilled_at + (dict.refill_step(refill_period, refill_tokens)).step)
$$;
comment on function dict.empty_bucket(text, text, interval) is
  'Handles a 429: empties the local token bucket and stores Retry-After (null: DICT sent none). Returns when to try again.';
