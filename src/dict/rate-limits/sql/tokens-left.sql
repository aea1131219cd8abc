create or replace function dict.tokens_left(of_participant text, of_policy text) returns integer
language sql stable as $$
  select case when r.blocked_until > n then 0 else (dict.refilled(r, n)).tokens end
  from dict.rate_limits r, workflow.now() n where participant = of_participant and policy = of_policy
$$;
comment on function dict.tokens_left(text, text) is
  'How many tokens a token bucket has now, as far as this installation knows. Null: the policy is not limited here.';
