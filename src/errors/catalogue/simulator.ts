import type { Section } from './section.ts';

export const SIMULATOR = {
  title: 'Simulator',
  errors: {
    DV_SIMULATOR_LISTEN: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `simulator` and `demo`.',
      meaning: 'The simulator cannot listen on this address and port.',
      remedy: 'Choose another port.',
    },
    DV_SIMULATOR_SEED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `simulator`.',
      meaning: 'Keys have already been changed in the simulator, or it already has the key.',
      remedy: 'Start a new simulator.',
    },
    DV_DAMAGE_TOO_LARGE: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `demo` and `simulator`.',
      meaning: 'The number of divergent keys is larger than the number of keys.',
      remedy: 'Ask for fewer divergent keys, or for more keys.',
    },
    DV_KEY_BASE_TOO_LARGE: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `demo` and `simulator`.',
      meaning: 'More keys are asked for than the simulator can generate.',
      remedy: 'Ask for fewer keys.',
    },
  },
} as const satisfies Section;
