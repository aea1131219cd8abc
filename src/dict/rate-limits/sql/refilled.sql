-- A token bucket as it is at `n`: with the refills since it was last written.
create or replace function dict.refilled(r dict.rate_limits, n timestamptz) returns dict.rate_limits
language plpgsql immutable as $$
declare
  refill record;
  steps bigint;
begin
  select * into refill from dict.refill_step(r.refill_period, r.refill_tokens);
  steps := greatest(floor(extract(epoch from n - r.refilled_at) / extract(epoch from refill.step)), 0);
  r.refilled_at := r.refilled_at + steps * refill.step;
  r.tokens := least(r.capacity::bigint, r.tokens + steps * refill.gain);
  return r;
end $$;
