create or replace function dict.bits(cid bytea) returns bit(256)
language sql immutable parallel safe
return ('x' || encode(cid, 'hex'))::bit(256);
comment on function dict.bits(bytea) is 'A CID as a number that bit_xor takes: bytea has no XOR.';
