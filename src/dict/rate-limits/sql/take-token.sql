create or replace function dict.take_token(of_participant text, of_policy text, out taken boolean, out retry_at timestamptz)
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  r dict.rate_limits;
begin
  select * into r from dict.rate_limits where participant = of_participant and policy = of_policy for update;
  if not found then
    -- A policy that is not in the table is not limited here.
    taken := true;
    return;
  end if;
  if r.blocked_until > n then
    taken := false; retry_at := r.blocked_until;
    return;
  end if;
  r := dict.refilled(r, n);
  taken := r.tokens > 0;
  if taken then
    r.tokens := r.tokens - 1;
  else
    retry_at := r.refilled_at + (dict.refill_step(r.refill_period, r.refill_tokens)).step;
  end if;
  update dict.rate_limits set tokens = r.tokens, refilled_at = r.refilled_at, blocked_until = null
  where participant = of_participant and policy = of_policy;
end $$;
comment on function dict.take_token(text, text) is
  'Takes a token from a token bucket, or returns when there will be one. Called in a transaction of its own before each call; tokens are not given back.';
