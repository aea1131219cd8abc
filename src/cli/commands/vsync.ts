import type { Command } from 'commander';
import type { Pool } from 'pg';
import { isIncomplete } from '../../dict/key-base/connected-tables.ts';
import { KEY_TYPES, type KeyType } from '../../dict/entry/key-type.ts';
import {
  readVSync,
  recalculateVSync,
  type KeptVSync,
  type Recalculation,
} from '../../dict/vsync/vsync-store.ts';
import { printAnswer, printNote } from '../output/print.ts';
import { command, type CommonOptions, participantOption, participantsOf } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount, table } from '../output/format.ts';

interface VSyncOptions extends CommonOptions {
  participant?: string;
  recalculate?: boolean;
}

type Row = { participant: string; keyType: KeyType; incomplete?: true | undefined } & (
  | KeptVSync
  | (Recalculation & { wasWrong: boolean })
);

/** `dict-vsync vsync`: the VSyncs as they are kept, or recalculated from the entries and compared. */
export function vsync(): Command {
  return command(
    'vsync',
    'Prints the VSyncs with the number of keys. Recalculated: exits 1 if a kept one was wrong (it is mended).',
    ['vsync', 'vsync --participant 12345678 --json', 'vsync --recalculate'],
  )
    .addOption(participantOption())
    .option('--recalculate', 'compute them from the entries, compare, and mend what is kept wrong')
    .action(async (options: VSyncOptions) => {
      await withDatabase({}, async ({ pool, settings }) => {
        const asked = participantsOf(options, settings);
        const participants = asked.length > 0 ? asked : await knownParticipants(pool);
        const vsyncs: Row[] = [];
        for (const participant of participants) {
          for (const keyType of KEY_TYPES) {
            const incomplete = await isIncomplete(pool, participant, keyType);
            const kept = await read(pool, participant, keyType, options);
            vsyncs.push({ participant, keyType, ...kept, incomplete: incomplete || undefined });
          }
        }
        const wrong = vsyncs.filter((row) => 'wasWrong' in row && row.wasWrong);
        printAnswer(options, { vsyncs }, () => show(vsyncs));
        for (const { participant, keyType, incomplete } of vsyncs) {
          if (incomplete !== true) continue;
          printNote(
            `VSync incomplete: ${participant} ${keyType} may lack keys. \`dict-vsync connect rejects\` and \`dict-vsync key-events\` tell which and why.`,
          );
        }
        for (const { participant, keyType } of wrong) {
          printNote(
            `The VSync kept for ${participant} ${keyType} was wrong and is mended. Find out who changed keys past the triggers.`,
          );
        }
        if (wrong.length > 0) process.exitCode = 1;
      });
    });
}

/** Those with keys, and those that a worker was configured with. */
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
  return table(
    ['participant', 'key type', 'keys', 'VSync', ...('wasWrong' in (vsyncs[0] ?? {}) ? ['kept one'] : [])],
    vsyncs.map((row) => [
      row.participant,
      row.keyType,
      formatCount(row.entries),
      row.vsync,
      ...('wasWrong' in row ? [row.wasWrong ? `was ${row.keptVsync}, mended` : 'right'] : []),
    ]),
  );
}
