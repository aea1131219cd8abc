import { roundActivity } from '../src/workflows/define-activity.ts';
import { appendStream, cidFilePath, downloadedBytes } from '../src/dict/compare/cid-file-store.ts';
import { refuseCidFile } from '../src/dict/log/reconciliation-log.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible } from '../src/errors/rows.ts';

/** A step's share of a download: a crash costs no more than this again. */
const CHUNK = { maxBytes: 256 * 1024 * 1024, maxMs: 30_000 };

/** Downloads the CID file in chunks, each its own step, each going on where the one before ended. */
export default roundActivity<'again' | 'complete' | 'gone'>(
  async ({ run, input, context, signal, log }, { bridge, settings }) => {
    const { participant } = input;
    const { file } = context;
    if (file?.bytes === undefined) throw impossible('No CID file is available.');
    const path = cidFilePath(settings.TEMP_DIR, run.id, file.row);
    const offset = await downloadedBytes(path);
    // Longer than promised is for the comparison to refuse.
    if (file.bytes > 0 && offset >= file.bytes) return { outcome: 'complete', detail: { bytes: offset } };
    const call = { correlationId: run.correlationId, signal };
    try {
      const stream = bridge.downloadCidSetFile({ participant, id: file.id, offset }, call);
      const { bytes, ended } = await appendStream(path, stream, CHUNK);
      const detail = { bytes: offset + bytes, of: file.bytes };
      return { outcome: ended || offset + bytes >= file.bytes ? 'complete' : 'again', detail };
    } catch (error) {
      // AVAILABLE files whose Url answers 404 have been seen: only another file helps.
      if (error instanceof DvError && (error.code === 'DV_DICT_NOT_FOUND' || error.code === 'DV_DICT_GONE')) {
        log.warn({ code: error.code }, 'the CID file is gone');
        return async (tx) => {
          await refuseCidFile(tx, file.row, error.code);
          return { outcome: 'gone' };
        };
      }
      throw error;
    }
  },
);
