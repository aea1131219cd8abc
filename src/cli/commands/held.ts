import type { Command } from 'commander';
import { listHeldKeys } from '../../dict/key-base/held-keys.ts';
import type { KeyType } from '../../dict/entry/key-type.ts';
import { printAnswer } from '../output/print.ts';
import {
  command,
  type CommonOptions,
  keyTypesOption,
  participantOption,
  wholeNumber,
} from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount, table, formatTime } from '../output/format.ts';

interface HeldOptions extends CommonOptions {
  participant?: string;
  keyType?: KeyType[];
  limit: number;
}

/** `dict-vsync held`: lists the held keys. */
export function held(): Command {
  return command(
    'held',
    'Lists the held keys: an undo put them back, and no reconciliation changes them until they are released.',
    ['held', 'held --participant 12345678 --key-type CPF --json'],
  )
    .addOption(participantOption().default(undefined, 'all'))
    .addOption(keyTypesOption())
    .option('--limit <N>', 'show at most N keys, oldest first', wholeNumber('--limit', 1, 1_000_000), 100)
    .action(async ({ participant, keyType, limit, json }: HeldOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const found = await listHeldKeys(pool, { participant, keyTypes: keyType, limit });
        printAnswer({ json }, found, () => show(found));
      });
    });
}

function show({ held: total, keys }: Awaited<ReturnType<typeof listHeldKeys>>): string {
  if (keys.length === 0) return 'No key is held.';
  const rows = keys.map((key) => [
    key.participant,
    key.keyType,
    key.key,
    formatTime(key.heldAt),
    key.by,
    key.reason ?? '',
    key.undoRun,
  ]);
  const list = table(['participant', 'key type', 'key', 'held since', 'by', 'reason', 'undo run'], rows);
  return total > keys.length ? `${list}\n${formatCount(total)} in all.` : list;
}
