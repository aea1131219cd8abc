import { roundActivity } from '../src/workflows/define-activity.ts';
import { noteCidFile } from '../src/dict/log/reconciliation-log.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible, one } from '../src/errors/rows.ts';

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
    return async (tx) => {
      await noteCidFile(tx, file.row, state);
      const detail = { fileId: file.id, status: state.status };
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
