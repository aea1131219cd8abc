import { activity, type ReconciliationContext, reconciliationInput } from '../src/activity.ts';
import { minimumDivergence } from '../src/dict/compare/buckets.ts';
import { compareCids } from '../src/dict/compare/compare.ts';
import { scanCidFileInThread } from '../src/dict/compare/scan-thread.ts';
import { cidFilePath, runFolder } from '../src/dict/cid-file-store.ts';
import { withLocalCids } from '../src/dict/local-cids.ts';
import {
  addDivergences,
  clearDivergences,
  freezeRound,
  refuseCidFile,
} from '../src/dict/reconciliation-log.ts';
import { refuseHopelessRepair } from '../src/dict/repair-estimate.ts';
import { DvError } from '../src/errors.ts';

/** What makes a file unusable as a whole; another one may be right. */
const REFUSED = new Set(['DV_FILE_BYTES_WRONG', 'DV_FILE_SHA256_WRONG', 'DV_FILE_LINE_INVALID']);

/**
 * Compares the CID file with the local base and freezes what differs: the set, its hash, the counts. Outcomes:
 * `identical`, `apply` (within the approval threshold, or approved already), `ask` (a person decides), `refused`
 * (the file is wrong: nothing of it was believed), `missing` (the file is on another machine).
 */
export default activity<'identical' | 'apply' | 'ask' | 'refused' | 'missing'>(
  async ({ run, signal, log }, { pool, settings }) => {
    const { participant, keyType } = reconciliationInput(run.input);
    const { round, file } = run.context as unknown as ReconciliationContext;
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
      const frozen = await freezeRound(tx, run.id, round, comparison);
      if (frozen.written !== differ) {
        throw new DvError(
          'DV_COMPARISON_DISTURBED',
          'Another attempt wrote into this comparison. It is made anew.',
          {
            class: 'retryable',
          },
        );
      }
      const { vsyncFile: _file, vsyncLocal: _local, ...counts } = comparison;
      log.info(counts, 'compared');
      const needsApproval = frozen.found > settings.MANUAL_APPROVAL_THRESHOLD && frozen.unapproved > 0;
      const outcome = differ === 0 ? 'identical' : needsApproval ? 'ask' : 'apply';
      return { outcome, detail: { round, ...counts, ...frozen } };
    };
  },
);
