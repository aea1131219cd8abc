import { roundActivity } from '../src/workflows/define-activity.ts';
import {
  appendStream,
  cidFilePath,
  createEmpty,
  downloadedBytes,
  expectRoom,
} from '../src/dict/compare/cid-file-store.ts';
import { refuseCidFile } from '../src/dict/log/cid-files.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { impossible } from '../src/errors/rows.ts';

/** The part of a download that one step does. After a crash at most this much is downloaded again. */
const CHUNK = { maxBytes: 256 * 1024 * 1024, maxMs: 30_000 };

/** Errors by which only another file helps. Files with status AVAILABLE whose Url answers 404 have been observed. */
const UNUSABLE = new Set(['DV_DICT_NOT_FOUND', 'DV_DICT_GONE', 'DV_FILE_BYTES_WRONG']);

/**
 * Downloads the CID file in chunks. Each chunk is a step of its own and continues where the previous one ended. A file
 * of zero bytes needs no download: there may be nothing behind its Url.
 */
export default roundActivity<'again' | 'complete' | 'unusable'>(
  async ({ run, input, context, signal, log }, { bridge, settings }) => {
    const { participant } = input;
    const { file } = context;
    if (file?.bytes === undefined) throw impossible('No CID file is available.');
    const path = cidFilePath(settings.TEMP_DIR, run.id, file.row);
    if (file.bytes === 0) {
      await createEmpty(path);
      return { outcome: 'complete', detail: { bytes: 0 } };
    }
    const offset = await downloadedBytes(path);
    if (offset >= file.bytes) return { outcome: 'complete', detail: { bytes: offset } };
    const announced = file.bytes;
    await expectRoom(path, announced, announced - offset);
    const call = { correlationId: run.correlationId, signal };
    try {
      const stream = bridge.downloadCidSetFile({ participant, id: file.id, offset }, call);
      const { bytes, ended } = await appendStream(path, stream, { ...CHUNK, announced: announced - offset });
      const detail = { bytes: offset + bytes, of: announced };
      return { outcome: ended || offset + bytes >= announced ? 'complete' : 'again', detail };
    } catch (error) {
      if (!(error instanceof DvError) || !UNUSABLE.has(error.code)) throw error;
      const { code, message } = error;
      log.warn({ fileId: file.id, code }, message);
      return async (tx) => {
        await refuseCidFile(tx, file.row, code);
        return { outcome: 'unusable', detail: { code, message } };
      };
    }
  },
);
