create or replace function dict.empty_bucket(of_participant text, of_policy text, stay_away interval) returns timestamptz
language sql security definer as $$
  -- DICT knows better: nothing until its next refill, whose phase we don't know, so a whole step from now. Another
  -- call's 429 may have said longer.
  update dict.rate_limits set tokens = 0, refilled_at = workflow.now(),
    blocked_until = greatest(blocked_until, workflow.now() + stay_away)
  where participant = of_participant and policy = of_policy
  returning coalesce(blocked_until, refilled_at + (dict.refill_step(refill_period, refill_tokens)).step)
$$;
comment on function dict.empty_bucket(text, text, interval) is
  'What a 429 does: empties the local bucket, keeps Retry-After (null: DICT said none); returns when to try again.';
