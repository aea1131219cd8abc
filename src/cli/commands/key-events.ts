import type { Command } from 'commander';
import { readKeyEventRejects } from '../../dict/key-base/apply-key-events.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions, wholeNumber } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { table, formatTime } from '../output/format.ts';

interface KeyEventsOptions extends CommonOptions {
  limit: number;
}

/** `dict-vsync key-events`: lists refused key events that still matter. */
export function keyEvents(): Command {
  return command(
    'key-events',
    'Lists the refused key events of the core system since the last OK of DICT, with the reason (docs/guides/key-events.md).',
    ['key-events', 'key-events --limit 1000 --json'],
  )
    .option('--limit <N>', 'show at most N key events', wholeNumber('--limit', 1, 1_000_000), 100)
    .action(async (options: KeyEventsOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const rejects = await readKeyEventRejects(pool, options.limit);
        printAnswer(options, { rejects }, () =>
          rejects.length === 0
            ? 'No key event was refused since the last OK of DICT.'
            : table(
                ['received', 'type', 'participant', 'key type', 'key', 'reason', 'source', 'id'],
                rejects.map((row) => [
                  formatTime(row.receivedAt),
                  row.type,
                  row.participant,
                  row.keyType,
                  row.key,
                  row.reason,
                  row.source,
                  row.id,
                ]),
              ),
        );
      });
    });
}
