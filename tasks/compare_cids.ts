import { roundActivity } from '../src/workflows/define-activity.ts';
import { minimumDivergence } from '../src/dict/compare/buckets.ts';
import { compareCids } from '../src/dict/compare/compare.ts';
import { scanCidFileInThread } from '../src/dict/compare/scan-thread.ts';
import type { Divergence } from '../src/dict/compare/divergence-batch.ts';
import type { CidFileScan } from '../src/dict/compare/scan.ts';
import { cidFilePath, runFolder } from '../src/dict/compare/cid-file-store.ts';
import { withLocalCids } from '../src/dict/compare/local-cids.ts';
import { refuseCidFile } from '../src/dict/log/cid-files.ts';
import { addDivergences, clearDivergences, recordFindings } from '../src/dict/log/reconciliation-log.ts';
import { refuseHopelessRepair } from '../src/dict/repair/repair-estimate.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible } from '../src/errors/rows.ts';

const MISSING = 'DV_FILE_UNREADABLE';
/** Errors that make a file unusable as a whole; another file may be right. */
const REFUSED = new Set(['DV_FILE_BYTES_WRONG', 'DV_FILE_SHA256_WRONG', 'DV_FILE_LINE_INVALID']);

/**
 * Compares the CID file with the local base and records what differs. Outcomes: `identical`, `different`,
 * `refused` (the file is wrong and nothing of it was used), `missing` (the file is on another machine).
 */
export default roundActivity<'identical' | 'different' | 'refused' | 'missing'>(
  async ({ run, input, context, signal, log, fenced }, { pool, settings }) => {
    const { participant, keyType } = input;
    const { round, file, foundByReason = '' } = context;
    if (file?.bytes === undefined || file.sha256 === undefined) {
      throw impossible('No CID file is available.');
    }
    const path = cidFilePath(settings.TEMP_DIR, run.id, file.row);
    const expected = { bytes: file.bytes, sha256: file.sha256 };
    // The local buckets are read while the file is scanned.
    const comparison = await withLocalCids(pool, participant, keyType, async (local) => {
      const scan = await usable(scanCidFileInThread(path, expected, { signal }));
      if (scan instanceof DvError) return scan;
      await fenced(async (tx) => clearDivergences(tx, run.id, round));
      refuseHopelessRepair(minimumDivergence(scan, await local.buckets()), settings.REPAIR_MAX_HOURS);
      const add = async (batch: Divergence[]) =>
        fenced(async (tx) => addDivergences(tx, run.id, round, batch));
      return compareCids({ path, scan }, local, add, {
        tempDir: runFolder(settings.TEMP_DIR, run.id),
        signal,
      });
    });
    if (comparison instanceof DvError) {
      const { code, message } = comparison;
      if (code === MISSING) return { outcome: 'missing' };
      log.warn({ code }, message);
      return async (tx) => {
        await refuseCidFile(tx, file.row, code);
        return { outcome: 'refused', detail: { code, message } };
      };
    }
    if (comparison.duplicates > 0) {
      log.warn({ duplicates: comparison.duplicates }, 'the CID file repeats CIDs; each CID counts once');
    }
    const differ = comparison.dictOnly + comparison.localOnly;
    refuseHopelessRepair(differ, settings.REPAIR_MAX_HOURS);

    return async (tx) => {
      const { vsyncFile: _file, vsyncLocal: _local, ...counts } = comparison;
      await recordFindings(tx, run.id, round, { ...counts, foundBy: 'FILE', foundByReason });
      log.info(counts, 'compared the CID file with the key base');
      return { outcome: differ === 0 ? 'identical' : 'different', detail: { round, ...counts } };
    };
  },
);

/** The scan, or why this file cannot be compared. */
async function usable(scanning: Promise<CidFileScan>): Promise<CidFileScan | DvError> {
  try {
    return await scanning;
  } catch (error) {
    if (error instanceof DvError && (error.code === MISSING || REFUSED.has(error.code))) return error;
    throw error;
  }
}
