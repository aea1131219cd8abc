create or replace function dict.log_verification(run uuid, found_out jsonb, ended timestamptz default workflow.now())
returns text
language sql as $$
  insert into dict.verifications as v (run_id, participant, key_types, started_at, ended_at, outcome, results)
  select id, input ->> 'participant', array(
      select t from jsonb_array_elements_text(input -> 'keyTypes') with ordinality as x (t, place)
      where t is not null order by place),
    created_at, ended,
    (select case when bool_or(value ->> 'result' = 'ERROR') then 'INCOMPLETE'
                 when bool_or(value ->> 'result' = 'NOK') then 'OUT_OF_SYNC' else 'IN_SYNC' end from jsonb_each(found_out)),
    found_out
  from workflow.runs where id = run
  on conflict (run_id) do update set ended_at = excluded.ended_at, outcome = excluded.outcome, results = excluded.results
  returning outcome
$$;
comment on function dict.log_verification(uuid, jsonb, timestamptz) is
  'Writes the log row of a verification from {key type: {result, …}}. Returns its outcome: IN_SYNC, OUT_OF_SYNC or INCOMPLETE.';
