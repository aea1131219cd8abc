import type { Command } from 'commander';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { readEntriesCsv } from '../../dict/key-base/csv.ts';
import { type ImportedEntry, importEntries } from '../../dict/key-base/import.ts';
import { foldDeltas } from '../../dict/vsync/vsync-store.ts';
import { DvError } from '../../errors/dv-error.ts';
import { printAnswer, printNote } from '../output/print.ts';
import { command, type CommonOptions, participantOption, participantsOf } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount, formatDuration } from '../output/format.ts';
import { progress } from '../output/progress.ts';

interface ImportOptions extends CommonOptions {
  participant?: string;
}

/** A CSV to read, and the share of it that was read (0 to 1; undefined: unknown). */
interface Source {
  stream: Readable;
  share: () => number | undefined;
}

/** From this number of keys on, a note is printed before they are written, because that takes long. */
const QUICK = 20_000;

/** `dict-vsync import`: loads the key base from a CSV. */
export function importKeys(): Command {
  return command(
    'import',
    'Loads keys from a CSV (docs/guides/csv-import.md). Existing keys are updated, and keys that are not in the CSV are kept. If a line is invalid, nothing is imported.',
    [
      'import keys.csv',
      'import keys.csv --participant 12345678 --json',
      'zcat keys.csv.gz | dict-vsync import -',
    ],
  )
    .argument('<FILE>', 'the CSV file; - for stdin')
    .addOption(participantOption())
    .action(async (file: string, options: ImportOptions) => {
      await withDatabase({}, async ({ pool, settings }) => {
        const began = performance.now();
        const source = await openSource(file);
        const shown = progress('importing keys');
        const participants = participantsOf(options, settings);
        const [defaultParticipant] = participants.length === 1 ? participants : [];
        const entries = entriesOf(source.stream, defaultParticipant, (read) => {
          shown.end();
          if (read > QUICK)
            printNote(
              `All ${formatCount(read)} keys are valid. Writing them now; this takes several times longer than reading.`,
            );
        });
        const onProgress = (read: number) => shown.update(read, source.share());
        const result = await importEntries(pool, entries, onProgress).finally(() => {
          shown.end();
          source.stream.destroy();
        });
        // Workers fold continuously, but perhaps no worker runs yet, and an import leaves many deltas.
        await foldDeltas(pool);
        const seconds = (performance.now() - began) / 1000;
        printAnswer(options, { ...result, seconds: Math.round(seconds * 1000) / 1000 }, () => {
          const { read, changed } = result;
          return `${formatCount(read)} keys read, ${formatCount(changed)} of them new or changed, in ${formatDuration(seconds)}.`;
        });
      });
    });
}

async function openSource(path: string): Promise<Source> {
  if (path === '-') return { stream: process.stdin, share: () => undefined };
  try {
    const about = await stat(path);
    if (about.isDirectory()) throw new Error('it is a directory');
    const stream = createReadStream(path);
    await once(stream, 'open');
    return { stream, share: () => (about.size > 0 ? stream.bytesRead / about.size : undefined) };
  } catch (cause) {
    throw new DvError(
      'DV_FILE_UNREADABLE',
      'The file to import cannot be read. Check its path and its permissions.',
      // A file that the user names is not downloaded again.
      { class: 'not_retryable', exit: 2, cause },
    );
  }
}

async function* entriesOf(
  stream: Readable,
  defaultParticipant: string | undefined,
  onEnd: (read: number) => void,
): AsyncGenerator<ImportedEntry, void, undefined> {
  let read = 0;
  for await (const { line, entry } of readEntriesCsv(
    stream,
    defaultParticipant === undefined ? {} : { defaultParticipant },
  )) {
    read += 1;
    yield { ...entry, line };
  }
  onEnd(read);
}
