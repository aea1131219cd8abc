import type { Section } from './section.ts';

export const BRIDGE = {
  title: 'Bridge and DICT',
  intro:
    'The message names the method and, if DICT gave one, the type of the problem. Quote the correlation id in a ticket.',
  errors: {
    DV_BRIDGE_UNAVAILABLE: {
      class: 'retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'The Bridge, or DICT behind it, cannot be reached.',
      remedy: 'Check BRIDGE_ADDRESS, and check that the Bridge is running.',
    },
    DV_BRIDGE_TIMEOUT: {
      class: 'retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'The Bridge did not answer in time, or a download stopped before its end.',
      remedy: 'Check the Bridge.',
    },
    DV_BRIDGE_CANCELLED: {
      class: 'retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'The call was cancelled before its answer came.',
      remedy: 'There is nothing to do.',
    },
    DV_BRIDGE_NONSENSE: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'In every call.',
      meaning: 'The Bridge gave an answer that cannot be correct. No part of it was used.',
      remedy: 'Compare what the Bridge answers with proto/bridge.proto.',
    },
    DV_BRIDGE_UNIMPLEMENTED: {
      class: 'not_retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'The Bridge does not offer this method.',
      remedy: 'Upgrade the Bridge to a version that implements proto/bridge.proto.',
    },
    DV_BRIDGE_TLS_INVALID: {
      class: 'not_retryable',
      exit: 2,
      where: 'When connecting.',
      meaning: 'The TLS files or the server name cannot be used.',
      remedy:
        'Give PEM files, the certificate and the private key together, and a server name if the address is an IP address.',
    },
    DV_DICT_RATE_LIMITED: {
      class: 'rate_limited',
      exit: 1,
      where: 'In every call.',
      meaning: "DICT's token bucket is empty.",
      remedy: 'Wait. If the call was createCidSetFile, request fewer files per day.',
    },
    DV_DICT_NOT_FOUND: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'In every call.',
      meaning: 'DICT has no object with this id or CID, or no longer has it.',
      remedy:
        'There is nothing to do. A repair treats the CID as "not in DICT". A download requests another file.',
    },
    DV_DICT_GONE: {
      class: 'not_retryable',
      passes: true,
      exit: 1,
      where: 'In every call.',
      meaning: 'DICT no longer has the object, for example a CID file that has expired.',
      remedy: 'Request a new one.',
    },
    DV_DICT_FORBIDDEN: {
      class: 'not_retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'DICT or the Bridge refuses this participant.',
      remedy: 'Check PARTICIPANT_ISPB, and check for which participants the Bridge may act.',
    },
    DV_DICT_BAD_REQUEST: {
      class: 'not_retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'DICT refused the request as invalid.',
      remedy: 'Look up the type of the problem in the DICT API.',
    },
    DV_DICT_INTERNAL: {
      class: 'retryable',
      exit: 1,
      where: 'In every call.',
      meaning: 'DICT or the Bridge failed internally.',
      remedy: 'If it continues, open a ticket with the correlation id.',
    },
  },
} as const satisfies Section;
