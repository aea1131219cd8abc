import type { Logger } from 'pino';
import { roundActivity } from '../src/workflows/define-activity.ts';
import { noteCidFile } from '../src/dict/log/reconciliation-log.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible, one } from '../src/errors/rows.ts';

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
 * Asks DICT whether the CID file is available (getCidSetFile). After ERROR or UNAVAILABLE another file must be
 * requested.
 */
export default roundActivity<'available' | 'refused' | 'pending'>(
  async ({ run, input, context, signal, log }, { pool, bridge }) => {
    const { participant } = input;
    const { file } = context;
    if (file === undefined) throw impossible('No CID file was asked for.');
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
      const { rows } = await pool.query<{ ms: number }>(
        'select extract(epoch from $1::timestamptz - workflow.now())::float8 * 1000 as ms',
        [error.retryAt],
      );
      return {
        outcome: 'pending',
        wakeAfterMs: Math.max(one(rows).ms, 100),
        detail: { fileId: file.id, code: error.code },
      };
    }
    if (state.unknownStatus !== undefined) warnOnce(log, state.unknownStatus);
    return async (tx) => {
      const status = state.unknownStatus ?? state.status;
      await noteCidFile(tx, file.row, { ...state, status });
      const detail = { fileId: file.id, status };
      switch (state.status) {
        case 'AVAILABLE':
          return {
            outcome: 'available',
            context: { file: { ...file, bytes: state.bytes, sha256: state.sha256 } },
            detail: { ...detail, bytes: state.bytes },
          };
        case 'ERROR':
        case 'UNAVAILABLE':
          log.warn(detail, 'DICT could not make the CID file');
          return { outcome: 'refused', detail };
        case 'REQUESTED':
        case 'PROCESSING':
          return { outcome: 'pending', detail };
      }
    };
  },
);
