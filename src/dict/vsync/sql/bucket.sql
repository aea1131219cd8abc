create or replace function dict.bucket(cid bytea) returns smallint
language sql immutable parallel safe
return ((get_byte(cid, 0) << 4) | (get_byte(cid, 1) >> 4))::smallint;
comment on function dict.bucket(bytea) is 'The bucket of a CID: its first 12 bits, 0 to 4095.';
