create or replace function dict.is_passing(state text) returns boolean
language sql immutable
return left(state, 2) in ('40', '53', '55', '57', '58');
comment on function dict.is_passing(text) is
  'Whether a SQLSTATE belongs to a condition that may pass: a lost race, a lock, resources, an operator, the system.';
