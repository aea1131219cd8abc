import type { Section } from './section.ts';

export const RECONCILIATION = {
  title: 'Reconciliation',
  errors: {
    DV_FILE_LATE: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'While waiting for the CID file.',
      meaning: 'DICT did not make the file available within FILE_WAIT_MINUTES.',
      remedy:
        'Retry the run later: it looks at this file first, and requests another one if it is still not there.',
    },
    DV_FILE_UNUSABLE: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'When requesting a CID file.',
      meaning: 'No file that DICT gave in this round could be used.',
      remedy: 'See the reasons in `dict.cid_files`, and retry the run later.',
    },
    DV_FILE_BYTES_WRONG: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'When reading the CID file.',
      meaning: 'The file does not have the size that DICT announced. The whole file was refused.',
      remedy: 'There is nothing to do: the run requests another file.',
    },
    DV_FILE_TOO_LARGE: {
      class: 'not_retryable',
      exit: 1,
      where: 'Before downloading the CID file.',
      meaning:
        'DICT announces far more bytes than the known keys can need, and more than FILE_ALLOWED_MEGABYTES. Nothing was downloaded.',
      remedy:
        'There is nothing to do: the run requests another file. If the participant has that many keys at DICT, raise FILE_ALLOWED_MEGABYTES and retry the run.',
    },
    DV_FILE_TOO_OLD: {
      class: 'not_retryable',
      exit: 1,
      where: 'Before downloading the CID file.',
      meaning: 'DICT made the file more than a day before it was asked for. Nothing was downloaded.',
      remedy: 'There is nothing to do: the run requests another file.',
    },
    DV_DISK_FULL: {
      class: 'retryable',
      exit: 1,
      where: 'When downloading the CID file.',
      meaning:
        'The disk of TEMP_DIR has no room for the file and its comparison. The message says how much they need.',
      remedy: 'Free disk space, or set TEMP_DIR to a folder on a larger disk. Then retry the run.',
    },
    DV_FILE_SHA256_WRONG: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'When reading the CID file.',
      meaning: 'The file does not have the SHA-256 that DICT announced. The whole file was refused.',
      remedy: 'There is nothing to do: the run requests another file.',
    },
    DV_FILE_LINE_INVALID: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'When reading the CID file.',
      meaning: 'A line is not a CID. The whole file was refused.',
      remedy: 'There is nothing to do: the run requests another file.',
    },
    DV_FILE_UNREADABLE: {
      class: 'retryable',
      exit: 1,
      where: 'When reading a CID file; in `import` and `connect` it is wrong usage.',
      meaning: 'The file does not exist, or the program is not allowed to read it.',
      remedy:
        'A CID file is downloaded again without your help. For any other file, check its path and its permissions.',
    },
    DV_FILE_CHANGED: {
      class: 'retryable',
      exit: 1,
      where: 'When comparing.',
      meaning: 'The CID file changed while it was read. No part of it was used.',
      remedy: 'Make sure that no other program changes files in TEMP_DIR.',
    },
    DV_TEMP_FILE_FAILED: {
      class: 'retryable',
      exit: 1,
      where: 'When comparing.',
      meaning: 'The temporary file cannot be used.',
      remedy: 'Check the permissions and the free space of TEMP_DIR.',
    },
    DV_SCAN_THREAD_DIED: {
      class: 'retryable',
      exit: 1,
      where: 'When comparing.',
      meaning: 'A thread that reads the file ended unexpectedly.',
      remedy: 'The step is tried again. If it continues, check the free memory of the host.',
    },
    DV_COMPARISON_DISTURBED: {
      class: 'retryable',
      exit: 1,
      where: 'When comparing.',
      meaning: 'Another attempt of the same step wrote into this comparison.',
      remedy: 'There is nothing to do: the keys are compared again.',
    },
    DV_CID_LIST_UNORDERED: {
      class: 'not_retryable',
      exit: 1,
      where: 'When comparing.',
      meaning: 'A list of CIDs is not in ascending order, which is a defect. The list was not used.',
      remedy: 'Report it.',
    },
    DV_REPAIR_TOO_LONG: {
      class: 'not_retryable',
      exit: 1,
      where: 'After comparing.',
      meaning:
        "Under DICT's rate limits the repair would take longer than REPAIR_MAX_HOURS. The message contains the estimate.",
      remedy: "Load the key base from the bank's own records first, or raise the limit.",
    },
    DV_KEYS_HELD: {
      class: 'not_retryable',
      exit: 1,
      where: 'When confirming.',
      meaning: 'Everything is repaired except held keys, which an undo put back. The message says how many.',
      remedy: 'See them with `dict-vsync held`. Release them and retry the run, or leave them held.',
    },
    DV_REGISTRATION_REFUSED: {
      class: 'not_retryable',
      exit: 1,
      where: 'When confirming.',
      meaning:
        'Everything is repaired except keys that only the local base has and that DICT refused to register.',
      remedy:
        "See DICT's reason in `dict.divergences`. The next reconciliation leaves these keys as UNSURE: a person decides with `dict-vsync unsure`.",
    },
    DV_SOURCE_BUSY: {
      class: 'retryable',
      exit: 1,
      where: 'When repairing connected tables.',
      meaning: 'The bank changed a key while it was being repaired. No key of the chunk was written.',
      remedy: 'There is nothing to do: the chunk is tried again.',
    },
    DV_SOURCE_FAILED: {
      class: 'not_retryable',
      exit: 1,
      where: 'When repairing or loading connected tables.',
      meaning: 'The mapping raised the SQLSTATE that the message names. Nothing was changed.',
      remedy: 'Correct the mapping. Then load again, or retry the run.',
    },
    DV_SOURCE_DISAGREES: {
      class: 'not_retryable',
      exit: 1,
      where: 'When repairing connected tables.',
      meaning: 'After the repair, the view did not show what DICT has. No key of the chunk was repaired.',
      remedy: 'Correct the apply function or the view (docs/guides/connected-tables.md), then retry the run.',
    },
    DV_SOURCE_INVALID: {
      class: 'not_retryable',
      exit: 1,
      where: 'When connecting tables.',
      meaning: 'The view, a function or the name cannot be used for a mapping.',
      remedy: 'Do what the message says.',
    },
    DV_SOURCE_UNKNOWN: {
      class: 'not_retryable',
      exit: 1,
      where: 'When connecting tables.',
      meaning: 'No source has this name.',
      remedy: 'Find the source with `dict-vsync connect list`.',
    },
    DV_KEY_NOT_UNSURE: {
      class: 'not_retryable',
      exit: 2,
      where: 'In `remove-unsure`.',
      meaning: 'A key is not UNSURE in the last round of this run, or a person has decided about it already.',
      remedy: 'See the keys that wait for a decision with `dict-vsync unsure`.',
    },
    DV_NOK_THOUGH_EQUAL: {
      class: 'not_retryable',
      exit: 1,
      where: 'When confirming.',
      meaning:
        'DICT says NOK although it shows no difference: the key base equals what DICT gave, and nothing was left alone.',
      remedy:
        "Open a ticket at BACEN with the verification's id, the correlation id, the VSync and the time that the message names. Then retry the run.",
    },
    DV_STILL_NOK: {
      class: 'not_retryable',
      exit: 1,
      where: 'When confirming.',
      meaning: 'DICT still says NOK after all rounds of repair.',
      remedy: 'See in `dict.divergences` which keys were not repaired and why, then retry the run.',
    },
    DV_REPORT_MISSING: {
      class: 'not_retryable',
      exit: 1,
      where: 'In `report`.',
      meaning:
        'The run is not a reconciliation, has not compared anything yet, or has no comparison with that number.',
      remedy: 'See the comparisons with `dict-vsync describe RUN`.',
    },
  },
} as const satisfies Section;
