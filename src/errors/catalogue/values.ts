import type { Section } from './section.ts';

export const VALUES = {
  title: 'Values',
  intro: 'If the value was given by a flag, the command exits with 2.',
  errors: {
    DV_ISPB_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'When starting a run, in `import`.',
      meaning: 'The ISPB does not have 8 digits.',
      remedy: 'Give all 8 digits, leading zeros included.',
    },
    DV_KEY_TYPE_UNKNOWN: {
      class: 'not_retryable',
      exit: 1,
      where: 'When starting a run, in `import`.',
      meaning: 'The key type does not exist.',
      remedy: 'Use CNPJ, CPF, EMAIL, EVP or PHONE.',
    },
    DV_CID_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `cid`, when comparing.',
      meaning: 'The CID does not have 64 hexadecimal digits (32 bytes).',
      remedy: 'Copy the whole CID.',
    },
    DV_VSYNC_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'When reading a VSync.',
      meaning: 'The VSync does not have 64 hexadecimal digits.',
      remedy: 'Copy the whole VSync.',
    },
    DV_REQUEST_ID_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `cid` and `import`.',
      meaning: 'The request id is not a UUID.',
      remedy: 'Give the RequestId with which the entry was created.',
    },
    DV_ENTRY_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `import`.',
      meaning: 'The entry cannot be one that DICT has.',
      remedy: 'Correct the fields that the message names.',
    },
    DV_CSV_COLUMNS: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `import` and `cid`.',
      meaning: 'Columns of the CSV are missing, unknown or repeated.',
      remedy: 'See docs/guides/csv-import.md.',
    },
    DV_CSV_ENCODING: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `import` and `cid`.',
      meaning: 'The CSV is not UTF-8.',
      remedy: 'Save the file as UTF-8.',
    },
    DV_CSV_LINE_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `import` and `cid`.',
      meaning: 'A line of the CSV breaks the rules. Nothing was imported.',
      remedy: 'Correct the line, then import the whole file again.',
    },
    DV_KEY_TWICE: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `import`.',
      meaning: 'Two lines have the same key. Nothing was imported.',
      remedy: 'Keep one of them, then import the whole file again.',
    },
  },
} as const satisfies Section;
