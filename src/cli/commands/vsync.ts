import type { Command } from 'commander';
import type { Pool } from 'pg';
import { isIncomplete } from '../../dict/key-base/connected-tables.ts';
import { KEY_TYPES, type KeyType } from '../../dict/entry/key-type.ts';
import {
  readSyncState,
  readVSync,
  recalculateVSync,
  type KeptVSync,
  type Recalculation,
  type SyncState,
} from '../../dict/vsync/vsync-store.ts';
import { okText } from '../../dict/vsync/warnings.ts';
import { printAnswer, printNote } from '../output/print.ts';
import { command, type CommonOptions, participantOption, participantsOf } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount, formatTime, table } from '../output/format.ts';

interface VSyncOptions extends CommonOptions {
  participant?: string;
  recalculate?: boolean;
}

type Row = { participant: string; keyType: KeyType; incomplete?: true | undefined } & SyncState &
  (KeptVSync | (Recalculation & { wasWrong: boolean }));

/** `dict-vsync vsync`: prints the stored VSyncs, or recalculates them from the entries and compares. */
export function vsync(): Command {
  return command(
    'vsync',
    "Prints the VSyncs with the number of keys, DICT's last OK, and the keys that are held since an undo. With --recalculate it exits with 1 if a stored VSync was wrong.",
    ['vsync', 'vsync --participant 12345678 --json', 'vsync --recalculate'],
  )
    .addOption(participantOption())
    .option(
      '--recalculate',
      'compute the VSyncs from the entries, compare them with the stored ones, and correct the stored ones',
    )
    .action(async (options: VSyncOptions) => {
      await withDatabase({}, async ({ pool, settings }) => {
        const asked = participantsOf(options, settings);
        const participants = asked.length > 0 ? asked : await knownParticipants(pool);
        const vsyncs: Row[] = [];
        for (const participant of participants) {
          for (const keyType of KEY_TYPES) {
            const incomplete = await isIncomplete(pool, participant, keyType);
            const kept = await read(pool, participant, keyType, options);
            const state = await readSyncState(pool, participant, keyType);
            vsyncs.push({ participant, keyType, ...kept, ...state, incomplete: incomplete || undefined });
          }
        }
        const wrong = vsyncs.filter((row) => 'wasWrong' in row && row.wasWrong);
        printAnswer(options, { vsyncs }, () => show(vsyncs));
        for (const { participant, keyType, incomplete } of vsyncs) {
          if (incomplete !== true) continue;
          printNote(
            `VSync incomplete: ${participant} ${keyType} may lack keys. \`dict-vsync connect rejects\` and \`dict-vsync key-events\` list them with the reason.`,
          );
        }
        for (const { participant, keyType } of wrong) {
          printNote(
            `The stored VSync of ${participant} ${keyType} was wrong and has been corrected. Find out who changed keys without the triggers.`,
          );
        }
        if (wrong.length > 0) process.exitCode = 1;
      });
    });
}

/** Participants that have keys, or that a worker was configured with. */
async function knownParticipants(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ participant: string }>(
    'select distinct participant from dict.vsyncs order by 1',
  );
  return rows.map(({ participant }) => participant);
}

async function read(pool: Pool, participant: string, keyType: KeyType, options: VSyncOptions) {
  if (options.recalculate !== true) return readVSync(pool, participant, keyType);
  if (process.stderr.isTTY) printNote(`Recalculating ${participant} ${keyType}…`);
  const recalculated = await recalculateVSync(pool, participant, keyType);
  return { ...recalculated, wasWrong: recalculated.repairedBuckets > 0 };
}

function show(vsyncs: readonly Row[]): string {
  if (vsyncs.length === 0) return 'There are no keys yet, and no participant is configured.';
  const withState = vsyncs.some(({ lastOkAt, heldKeys }) => lastOkAt !== undefined || heldKeys !== undefined);
  return table(
    [
      'participant',
      'key type',
      'keys',
      'VSync',
      ...(withState ? ["DICT's last OK"] : []),
      ...('wasWrong' in (vsyncs[0] ?? {}) ? ['stored VSync'] : []),
    ],
    vsyncs.map((row) => [
      row.participant,
      row.keyType,
      formatCount(row.entries),
      row.vsync,
      ...(withState ? [okText(row, formatTime)] : []),
      ...('wasWrong' in row ? [row.wasWrong ? `was ${row.keptVsync}, corrected` : 'correct'] : []),
    ]),
  );
}
