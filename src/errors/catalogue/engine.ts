import type { Section } from './section.ts';

export const ENGINE = {
  title: 'Engine',
  intro: 'These point at a defect, at two versions of the program on one database, or at a passing race.',
  errors: {
    DV_TIMEOUT: {
      class: 'retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'The step did not end within the time limit of its state.',
      remedy: 'Find out why it is slow: look at the database, the Bridge and the machine.',
    },
    DV_WORKER_STOPPING: {
      class: 'not_retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'The worker stops. It hands the step over to another worker, and the step loses no attempt.',
      remedy: 'There is nothing to do.',
    },
    DV_STEP_POISONED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'Three workers died in this step. The run is put aside as POISONED.',
      remedy: 'Read the logs of those workers, repair the cause, then run `dict-vsync retry`.',
    },
    DV_CHORE_BLOCKED: {
      class: 'retryable',
      exit: 1,
      where: "In the worker's log.",
      meaning:
        'A statement of a chore waited longer than 5 s for a lock, or ran longer than CHORE_TIMEOUT_SECONDS. Postgres ended it.',
      remedy:
        'Do nothing if it passes. Otherwise end the session that holds the lock (pg_stat_activity, pg_locks), or allow more time.',
    },
    DV_FENCED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'The run was taken over or closed while the step worked. What this step wrote is thrown away.',
      remedy:
        'There is nothing to do. If it happens often, look for a worker that hangs or gets too little CPU.',
    },
    DV_QUEUE_BUSY: {
      class: 'retryable',
      exit: 1,
      where: 'When adding a job.',
      meaning: "Another transaction is changing the run's job.",
      remedy: 'Try again.',
    },
    DV_UNEXPECTED: {
      class: 'retryable',
      exit: 1,
      where: 'In a step or a command.',
      meaning:
        "An error happened that nobody foresaw. The worker's log says where. It is not retryable when the database answered what cannot be: trying again would answer the same.",
      remedy: 'Report it.',
    },
    DV_MACHINE_CHANGED: {
      class: 'not_retryable',
      exit: 2,
      where: 'At the start of a worker.',
      meaning: 'A machine differs from the one that is stored under its version.',
      remedy: 'Give a changed machine a new version.',
    },
    DV_MACHINE_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'At the start of the program.',
      meaning: 'The edges of a waiting state are not the ways in which it can end.',
      remedy: 'Correct the declaration of the machine.',
    },
    DV_OUTCOME_UNKNOWN: {
      class: 'not_retryable',
      exit: 1,
      where: 'At the end of a step.',
      meaning: 'The state has no such outcome.',
      remedy: 'Run the same version everywhere.',
    },
    DV_TRANSITION_FORBIDDEN: {
      class: 'not_retryable',
      exit: 1,
      where: 'In any statement on `workflow.runs`.',
      meaning: 'The machine has no such state or no such edge.',
      remedy: 'Change runs only by the functions of docs/reference/sql.md.',
    },
    DV_HISTORY_APPEND_ONLY: {
      class: 'not_retryable',
      exit: 1,
      where: 'In any statement on `workflow.history`.',
      meaning: 'Rows of the history are never changed, and are deleted only with their run.',
      remedy: 'There is nothing to do.',
    },
  },
} as const satisfies Section;
