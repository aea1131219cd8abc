create or replace function dict.key_types() returns text[]
language sql immutable
return array['CNPJ', 'CPF', 'EMAIL', 'EVP', 'PHONE'];
comment on function dict.key_types() is 'BACEN''s key types (DICT API 2.6.1, KeyType), sorted.';
