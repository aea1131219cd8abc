import { roundActivity } from '../src/workflows/define-activity.ts';
import { appendStream, cidFilePath, downloadedBytes } from '../src/dict/compare/cid-file-store.ts';
import { refuseCidFile } from '../src/dict/log/reconciliation-log.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible } from '../src/errors/rows.ts';

/** The part of a download that one step does. After a crash at most this much is downloaded again. */
const CHUNK = { maxBytes: 256 * 1024 * 1024, maxMs: 30_000 };

/** Downloads the CID file in chunks. Each chunk is a step of its own and continues where the previous one ended. */
export default roundActivity<'again' | 'complete' | 'gone'>(
  async ({ run, input, context, signal, log }, { bridge, settings }) => {
    const { participant } = input;
    const { file } = context;
    if (file?.bytes === undefined) throw impossible('No CID file is available.');
    const path = cidFilePath(settings.TEMP_DIR, run.id, file.row);
    const offset = await downloadedBytes(path);
    // The comparison refuses a file that is longer than announced.
    if (file.bytes > 0 && offset >= file.bytes) return { outcome: 'complete', detail: { bytes: offset } };
    const call = { correlationId: run.correlationId, signal };
    try {
      const stream = bridge.downloadCidSetFile({ participant, id: file.id, offset }, call);
      const { bytes, ended } = await appendStream(path, stream, CHUNK);
      const detail = { bytes: offset + bytes, of: file.bytes };
      return { outcome: ended || offset + bytes >= file.bytes ? 'complete' : 'again', detail };
    } catch (error) {
      // Files with status AVAILABLE whose Url answers 404 have been observed. Only another file helps.
      if (error instanceof DvError && (error.code === 'DV_DICT_NOT_FOUND' || error.code === 'DV_DICT_GONE')) {
        log.warn({ code: error.code }, 'DICT no longer has the CID file');
        return async (tx) => {
          await refuseCidFile(tx, file.row, error.code);
          return { outcome: 'gone' };
        };
      }
      throw error;
    }
  },
);
