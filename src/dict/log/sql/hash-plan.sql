-- A chain and not one hash of a long text: it needs no memory, however large the set is.
create or replace function dict.hash_plan(run uuid, of_round integer) returns text
language plpgsql stable as $$
declare
  hash bytea := sha256('');
  d record;
begin
  for d in
    select side, cid, planned, key from dict.divergences
    where run_id = run and round = of_round and decision = 'PENDING' order by cid
  loop
    hash := sha256(hash || convert_to(concat_ws(' ',
      left(d.side, 1), encode(d.cid, 'hex'), coalesce(d.planned, 'ASK'), d.key), 'UTF8'));
  end loop;
  return encode(hash, 'hex');
end $$;
comment on function dict.hash_plan(uuid, integer) is
  'The hash of what a round plans: begins with SHA-256 of nothing; then, in ascending CID order, SHA-256 of the last hash and "D|L <cid> <planned, or ASK> <key, if known>". 64 hex digits.';
