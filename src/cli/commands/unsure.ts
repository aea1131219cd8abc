import type { Command } from 'commander';
import { listUnsureKeys } from '../../dict/repair/unsure-keys.ts';
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

interface UnsureOptions extends CommonOptions {
  participant?: string;
  keyType?: KeyType[];
  limit: number;
}

/** `dict-vsync unsure`: lists the keys that wait for a person's decision. */
export function unsure(): Command {
  return command(
    'unsure',
    'Lists the local keys that a reconciliation left for a person to decide: DICT does not have their CIDs, but nothing proves that it does not have the keys.',
    ['unsure', 'unsure --participant 12345678 --key-type CPF --json'],
  )
    .addOption(participantOption().default(undefined, 'all'))
    .addOption(keyTypesOption())
    .option('--limit <N>', 'show at most N keys', wholeNumber('--limit', 1, 1_000_000), 100)
    .action(async ({ participant, keyType, limit, json }: UnsureOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const found = await listUnsureKeys(pool, { participant, keyTypes: keyType, limit });
        printAnswer({ json }, found, () => show(found));
      });
    });
}

function show({ unsure: total, keys }: Awaited<ReturnType<typeof listUnsureKeys>>): string {
  if (keys.length === 0) return 'No key waits for a decision.';
  const rows = keys.map((key) => [
    key.participant,
    key.keyType,
    key.key,
    formatTime(key.since),
    key.decidedBy === null ? 'nobody yet' : `remove, by ${key.decidedBy}`,
    key.why,
    key.run,
  ]);
  return [
    table(['participant', 'key type', 'key', 'since', 'decided', 'why', 'reconciliation'], rows),
    ...(total > keys.length ? [`${formatCount(total)} in all.`] : []),
    'Ask DICT about each key (for example in the portal of your institution). If DICT does not have it, remove it with `dict-vsync remove-unsure`.',
  ].join('\n');
}
