create or replace function workflow.uuidv7() returns uuid
language sql volatile as $$
  -- 48 bits of Unix milliseconds over a random v4; bits 52 and 53 turn version 4 into 7.
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;
comment on function workflow.uuidv7() is 'A UUID version 7 (RFC 9562), which sorts by creation time. Postgres has its own only from version 18 on.';
