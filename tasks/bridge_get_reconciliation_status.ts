import type { Logger } from 'pino';
import { roundActivity } from '../src/workflows/define-activity.ts';
import {
  considerFileAge,
  fileAgeMs,
  largestFile,
  noteCidFile,
  refuseCidFile,
} from '../src/dict/log/cid-files.ts';
import { millisecondsUntil } from '../src/dict/rate-limits/rate-limits.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible } from '../src/errors/rows.ts';

/** A file that DICT made longer than this before it was asked for shows too old a state. */
const OLDEST_FILE_MS = 86_400_000;

/** File statuses that BACEN added and that were logged already. */
const logged = new Set<string>();

/** Names a status that BACEN added since; once, because a file is asked about every few seconds. */
function warnOnce(log: Logger, status: string): void {
  // Letters and "_" only, as in BACEN's other statuses: the text comes from outside.
  const name = /^[A-Za-z_]{1,40}$/.test(status) ? status : 'a status whose name cannot be shown';
  if (logged.has(name)) return;
  logged.add(name);
  log.warn(
    { fileStatus: name },
    'DICT has a file status that this version does not know: the file is waited for',
  );
}

/**
 * Asks DICT whether the CID file is available (getCidSetFile), for FILE_WAIT_MINUTES. After ERROR or UNAVAILABLE, and
 * for a file that cannot be right by what DICT says about it, another file must be requested.
 */
export default roundActivity<'available' | 'refused' | 'pending'>(
  async ({ run, input, context, signal, log }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { file, round } = context;
    if (file === undefined) throw impossible('No CID file was asked for.');
    const deadlineMs = settings.FILE_WAIT_MINUTES * 60_000;
    let state;
    try {
      state = await bridge.getCidSetFile(
        { participant, id: file.id },
        { correlationId: run.correlationId, signal },
      );
    } catch (error) {
      // Waiting for DICT's rate limit is part of polling and does not count as a failure.
      if (!(error instanceof DvError) || error.class !== 'rate_limited' || error.retryAt === undefined)
        throw error;
      return {
        outcome: 'pending',
        deadlineMs,
        wakeAfterMs: await millisecondsUntil(pool, error.retryAt),
        detail: { fileId: file.id, code: error.code, waitsFor: `CID file ${file.id} of DICT` },
      };
    }
    if (state.unknownStatus !== undefined) warnOnce(log, state.unknownStatus);
    const largest = await largestFile(
      pool,
      participant,
      keyType,
      settings.FILE_ALLOWED_MEGABYTES * 1_000_000,
    );
    return async (tx) => {
      const status = state.unknownStatus ?? state.status;
      await noteCidFile(tx, file.row, { ...state, status });
      const detail = { fileId: file.id, status };
      switch (state.status) {
        case 'AVAILABLE': {
          const wrong = wrongByItsAnnouncement(state, largest);
          if (wrong !== undefined) {
            log.warn({ ...detail, code: wrong.code }, wrong.message);
            await refuseCidFile(tx, file.row, wrong.code);
            return { outcome: 'refused', detail: { ...detail, code: wrong.code, message: wrong.message } };
          }
          await considerFileAge(tx, run.id, round, state, settings.IN_FLIGHT_MARGIN_SECONDS);
          return {
            outcome: 'available',
            context: { file: { ...file, bytes: state.bytes, sha256: state.sha256 } },
            detail: { ...detail, bytes: state.bytes },
          };
        }
        case 'ERROR':
        case 'UNAVAILABLE':
          log.warn(detail, 'DICT could not make the CID file');
          return { outcome: 'refused', detail };
        case 'REQUESTED':
        case 'PROCESSING':
          return {
            outcome: 'pending',
            deadlineMs,
            detail: { ...detail, waitsFor: `CID file ${file.id} of DICT, which is ${state.status}` },
          };
      }
    };
  },
);

function wrongByItsAnnouncement(
  file: { bytes: number; requestTime: string; creationTime: string },
  largest: number,
): DvError | undefined {
  if (file.bytes > largest) {
    return new DvError(
      'DV_FILE_TOO_LARGE',
      `DICT announces a CID file of ${file.bytes} bytes, and at most ${largest} are believable for the keys that are known. Nothing was downloaded. If DICT has that many keys, raise FILE_ALLOWED_MEGABYTES.`,
    );
  }
  if (fileAgeMs(file) > OLDEST_FILE_MS) {
    return new DvError(
      'DV_FILE_TOO_OLD',
      `DICT made the CID file at ${file.creationTime}, more than a day before it was asked for. Nothing was downloaded.`,
    );
  }
  return undefined;
}
