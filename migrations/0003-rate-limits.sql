-- DICT's token buckets as this installation knows them: one row a participant and policy, shared by all its workers.

create table dict.rate_limits (
  participant    text not null,
  policy         text not null,
  capacity       integer not null check (capacity > 0),
  refill_tokens  integer not null check (refill_tokens > 0),
  refill_period  interval not null check (refill_period > '0'),
  tokens         integer not null check (tokens >= 0),
  refilled_at    timestamptz not null,
  blocked_until  timestamptz,
  primary key (participant, policy)
);
comment on table dict.rate_limits is
  'DICT''s token buckets (DICT API 2.6.1, "Limitação de requisições"), per participant and policy. Seeded from ListPolicies where the Bridge offers it. FILE_POLL is our own: getCidSetFile''s pace for all key types together.';
comment on column dict.rate_limits.blocked_until is 'Until when DICT asked us to stay away (Retry-After).';

create function dict.seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer,
  of_period interval, available integer, overwrite boolean) returns void
language sql security definer set search_path = pg_catalog, dict as $$
  insert into dict.rate_limits as r (participant, policy, capacity, refill_tokens, refill_period, tokens, refilled_at)
  values (of_participant, of_policy, of_capacity, of_refill, of_period, least(available, of_capacity), workflow.now())
  on conflict (participant, policy) do update set
    capacity = excluded.capacity, refill_tokens = excluded.refill_tokens, refill_period = excluded.refill_period,
    -- What DICT says it has left may include calls of ours still under way: never more than we think.
    tokens = least(r.tokens, excluded.tokens)
  where overwrite
$$;
comment on function dict.seed_rate_limit(text, text, integer, integer, interval, integer, boolean) is
  'Makes a bucket, or with `overwrite` brings a known one up to what DICT says of it.';

create function dict.take_token(of_participant text, of_policy text, out taken boolean, out retry_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, dict as $$
declare
  n timestamptz := workflow.now();
  r dict.rate_limits;
  periods bigint;
begin
  select * into r from dict.rate_limits where participant = of_participant and policy = of_policy for update;
  if not found then
    -- A policy nobody told us about is not limited by us.
    taken := true;
    return;
  end if;
  if r.blocked_until > n then
    taken := false; retry_at := r.blocked_until;
    return;
  end if;
  -- Whole periods only, as DICT refills ("reposição periódica"): what we hope for in between it may not have.
  periods := greatest(floor(extract(epoch from n - r.refilled_at) / extract(epoch from r.refill_period)), 0);
  r.refilled_at := r.refilled_at + periods * r.refill_period;
  r.tokens := least(r.capacity::bigint, r.tokens + periods * r.refill_tokens);
  taken := r.tokens > 0;
  if taken then
    r.tokens := r.tokens - 1;
  else
    retry_at := r.refilled_at + r.refill_period;
  end if;
  update dict.rate_limits set tokens = r.tokens, refilled_at = r.refilled_at, blocked_until = null
  where participant = of_participant and policy = of_policy;
end $$;
comment on function dict.take_token(text, text) is
  'Takes a token of a bucket, or says when there will be one. Called in a transaction of its own before each call; tokens are not given back.';

create function dict.empty_bucket(of_participant text, of_policy text, stay_away interval) returns timestamptz
language sql security definer set search_path = pg_catalog, dict as $$
  -- DICT knows better: nothing until its next refill, whose phase we don't know, so a whole period from now. Another
  -- call's 429 may have said longer.
  update dict.rate_limits set tokens = 0, refilled_at = workflow.now(),
    blocked_until = greatest(blocked_until, workflow.now() + stay_away)
  where participant = of_participant and policy = of_policy
  returning coalesce(blocked_until, refilled_at + refill_period)
$$;
comment on function dict.empty_bucket(text, text, interval) is
  'What a 429 does: empties the local bucket, keeps Retry-After (null: DICT said none); returns when to try again.';
