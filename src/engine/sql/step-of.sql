-- A claimed step in the form in which workers receive it.
create or replace function workflow.step_of(r workflow.runs, s workflow.states) returns jsonb
language sql stable
return jsonb_build_object(
  'id', r.id, 'machine', r.machine, 'machineVersion', r.machine_version, 'workflowKey', r.workflow_key,
  'state', r.state, 'kind', s.kind, 'task', s.task, 'version', r.version, 'attempt', r.attempt, 'polls', r.polls,
  'maxAttempts', s.max_attempts, 'input', r.input, 'context', r.context, 'correlationId', r.correlation_id,
  'enteredAt', r.entered_at, 'deadline', r.deadline, 'parentId', r.parent_id, 'error', r.error,
  'failedState', r.failed_state, 'startToCloseMs', extract(epoch from s.start_to_close) * 1000);
