import type { Command } from 'commander';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Pool } from 'pg';
import { entryOddities, ODDITIES, type Oddity } from '../../dict/entry/entry-validation.ts';
import { readEntriesCsv } from '../../dict/key-base/csv.ts';
import { type ImportedEntry, importEntries } from '../../dict/key-base/import.ts';
import { foldDeltas, readParticipants } from '../../dict/vsync/vsync-store.ts';
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
        const seen: Seen = {
          warnings: { wrongCheckDigits: 0, upperCaseEmails: 0, longBranches: 0, unknownTypes: 0 },
          participants: new Set(),
        };
        const entries = entriesOf(source.stream, defaultParticipant, seen, (read) => {
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
        await noteUnusual(pool, settings.PARTICIPANT_ISPB, seen);
        const seconds = (performance.now() - began) / 1000;
        const warnings = Object.fromEntries(Object.entries(seen.warnings).filter(([, keys]) => keys > 0));
        const answer = { ...result, seconds: Math.round(seconds * 1000) / 1000 };
        const warned = Object.keys(warnings).length > 0;
        printAnswer(options, warned ? { ...answer, warnings } : answer, () => {
          const { read, changed } = result;
          return `${formatCount(read)} keys read, ${formatCount(changed)} of them new or changed, in ${formatDuration(seconds)}.`;
        });
      });
    });
}

/** What was unusual in the keys that were read; they were imported as given. */
interface Seen {
  warnings: Record<Oddity, number>;
  participants: Set<string>;
}

const WARNINGS: Record<Oddity, string> = {
  wrongCheckDigits: 'have a CPF or CNPJ with wrong check digits',
  upperCaseEmails: 'are e-mails with upper-case letters',
  longBranches: 'have a branch of more than 4 digits',
  unknownTypes: 'have an owner type or account type that this version does not know',
};

/** Prints what a person should look at again: oddities, and participants that no worker keeps in sync. */
async function noteUnusual(
  pool: Pool,
  configuredHere: readonly string[],
  { warnings, participants }: Seen,
): Promise<void> {
  for (const oddity of ODDITIES.filter((name) => warnings[name] > 0)) {
    printNote(
      `Warning: ${formatCount(warnings[oddity])} keys ${WARNINGS[oddity]}. They were imported as given: DICT decides.`,
    );
  }
  const configured = new Set([...configuredHere, ...(await readParticipants(pool))]);
  const others = [...participants].filter((participant) => !configured.has(participant)).toSorted();
  if (configured.size === 0 || others.length === 0) return;
  printNote(
    `Warning: no worker keeps the keys of ${others.slice(0, 5).join(', ')}${others.length > 5 ? ', …' : ''} in sync, because PARTICIPANT_ISPB does not name the participant.`,
  );
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
  seen: Seen,
  onEnd: (read: number) => void,
): AsyncGenerator<ImportedEntry, void, undefined> {
  let read = 0;
  for await (const { line, entry } of readEntriesCsv(
    stream,
    defaultParticipant === undefined ? {} : { defaultParticipant },
  )) {
    read += 1;
    for (const oddity of entryOddities(entry)) seen.warnings[oddity] += 1;
    seen.participants.add(entry.participant);
    yield { ...entry, line };
  }
  onEnd(read);
}
