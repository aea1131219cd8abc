import { activity, type ReconciliationContext, reconciliationInput } from '../src/activity.ts';
import { minimumDivergence } from '../src/dict/compare/buckets.ts';
import { compareCids } from '../src/dict/compare/compare.ts';
import { scanCidFileInThread } from '../src/dict/compare/scan-thread.ts';
import { cidFilePath, runFolder } from '../src/dict/cid-file-store.ts';
import { withLocalCids } from '../src/dict/local-cids.ts';
import {
  addDivergences,
  clearDivergences,
  recordFindings,
  refuseCidFile,
} from '../src/dict/reconciliation-log.ts';
import { refuseHopelessRepair } from '../src/dict/repair-estimate.ts';
import { DvError } from '../src/errors.ts';

/** What makes a file unusable as a whole; another one may be right. */
const REFUSED = new Set(['DV_FILE_BYTES_WRONG', 'DV_FILE_SHA256_WRONG', 'DV_FILE_LINE_INVALID']);

/**
 * Compares the CID file with the local base and writes down what differs. Outcomes: `identical`, `different`,
 * `refused` (the file is wrong: nothing of it was believed), `missing` (the file is on another machine).
 */
export default activity<'identical' | 'different' | 'refused' | 'missing'>(
  async ({ run, signal, log }, { pool, settings }) => {
    const { participant, keyType } = reconciliationInput(run.input);
    const { round, file, wayReason = '' } = run.context as unknown as ReconciliationContext;
    if (file?.bytes === undefined || file.sha256 === undefined) {
      throw new DvError('DV_UNEXPECTED', 'No CID file is available. Please report it.');
    }
    const path = cidFilePath(settings.TEMP_DIR, run.id, file.row);
    let scan;
    try {
      scan = await scanCidFileInThread(path, { bytes: file.bytes, sha256: file.sha256 }, { signal });
    } catch (error) {
      if (!(error instanceof DvError)) throw error;
      if (error.code === 'DV_FILE_UNREADABLE') return { outcome: 'missing' };
      if (!REFUSED.has(error.code)) throw error;
      log.warn({ code: error.code }, error.message);
      await refuseCidFile(pool, file.row, error.code);
      return { outcome: 'refused', detail: { code: error.code, message: error.message } };
    }

    await clearDivergences(pool, run.id, round);
    const comparison = await withLocalCids(pool, participant, keyType, async (local) => {
      refuseHopelessRepair(minimumDivergence(scan, await local.buckets()), settings.REPAIR_MAX_HOURS);
      return compareCids({ path, scan }, local, async (batch) => addDivergences(pool, run.id, round, batch), {
        tempDir: runFolder(settings.TEMP_DIR, run.id),
        signal,
      });
    });
    if (comparison.duplicates > 0) {
      log.warn({ duplicates: comparison.duplicates }, 'the CID file repeats CIDs; each counts once');
    }
    const differ = comparison.dictOnly + comparison.localOnly;
    refuseHopelessRepair(differ, settings.REPAIR_MAX_HOURS);

    return async (tx) => {
      const { vsyncFile: _file, vsyncLocal: _local, ...counts } = comparison;
      await recordFindings(tx, run.id, round, { ...counts, way: 'FILE', reason: wayReason });
      log.info(counts, 'compared');
      return { outcome: differ === 0 ? 'identical' : 'different', detail: { round, ...counts } };
    };
  },
);
