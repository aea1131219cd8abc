import type { Section } from './section.ts';

export const ENGINE = {
  title: 'Engine',
  intro: 'The cause is a defect, two versions of the program on one database, or a conflict that passes.',
  errors: {
    DV_TIMEOUT: {
      class: 'retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'The step did not end within the time limit of its state.',
      remedy: 'Find out why it is slow: check the database, the Bridge and the host.',
    },
    DV_WORKER_STOPPING: {
      class: 'not_retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'The worker is stopping. Another worker takes the step over, and no attempt is used up.',
      remedy: 'There is nothing to do.',
    },
    DV_STEP_POISONED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In a step.',
      meaning: 'Three workers died in this step. The run is now POISONED and is not tried again.',
      remedy: 'Find the cause in the logs of those workers and remove it, then run `dict-vsync retry`.',
    },
    DV_CHORE_BLOCKED: {
      class: 'retryable',
      exit: 1,
      where: "In the worker's log.",
      meaning:
        'A statement of a chore waited longer than 5 s for a lock, or ran longer than CHORE_TIMEOUT_SECONDS. Postgres cancelled it.',
      remedy:
        'Do nothing if it passes. Otherwise end the session that has the lock (see pg_stat_activity and pg_locks), or raise CHORE_TIMEOUT_SECONDS.',
    },
    DV_FENCED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In a step.',
      meaning:
        'The run was taken over or closed while the step was running. The result of this step is discarded.',
      remedy:
        'There is nothing to do. If it happens often, find the worker that hangs or gets too little CPU.',
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
        "An unexpected error happened. The worker's log says where. It is not retryable if the database gave an impossible answer: another attempt would get the same answer.",
      remedy: 'Report it.',
    },
    DV_MACHINE_CHANGED: {
      class: 'not_retryable',
      exit: 2,
      where: 'At the start of a worker.',
      meaning: 'A machine differs from the one that is stored in the database under the same version.',
      remedy: 'Give the changed machine a new version.',
    },
    DV_MACHINE_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'At the start of the program.',
      meaning: 'The edges of a waiting state do not match the outcomes that it can have.',
      remedy: 'Correct the declaration of the machine.',
    },
    DV_OUTCOME_UNKNOWN: {
      class: 'not_retryable',
      exit: 1,
      where: 'At the end of a step.',
      meaning: 'The state has no such outcome.',
      remedy: 'Run the same version of the program everywhere.',
    },
    DV_TRANSITION_FORBIDDEN: {
      class: 'not_retryable',
      exit: 1,
      where: 'In any statement on `workflow.runs`.',
      meaning: 'The machine has no such state or no such edge.',
      remedy: 'Change runs only with the functions in docs/reference/sql.md.',
    },
    DV_HISTORY_APPEND_ONLY: {
      class: 'not_retryable',
      exit: 1,
      where: 'In any statement on `workflow.history`.',
      meaning:
        'The statement tried to change or delete rows of the history. They are never changed, and are deleted only together with their run.',
      remedy: 'Do not change the history.',
    },
  },
} as const satisfies Section;
