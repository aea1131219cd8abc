create or replace function dict.bits(cid bytea) returns bit(256)
language sql immutable parallel safe
return ('x' || encode(cid, 'hex'))::bit(256);
comment on function dict.bits(bytea) is 'A CID as a bit string, because bit_xor does not take bytea.';
