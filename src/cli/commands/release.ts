import { type Command, Option } from 'commander';
import { one } from '../../errors/rows.ts';
import type { KeyType } from '../../dict/entry/key-type.ts';
import { findRun, translateDatabaseErrors } from '../../engine/index.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions, keyTypesOption, participantOption } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount } from '../output/format.ts';

interface ReleaseOptions extends CommonOptions {
  by: string;
  participant?: string;
  keyType?: KeyType[];
  key?: string;
  run?: string;
}

/** `dict-vsync release`: releases held keys. */
export function release(): Command {
  return command(
    'release',
    'Releases held keys, so that the next reconciliation repairs them. Give at least one of --run, --participant, --key-type and --key.',
    [
      'release --run 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --by "Ana Souza"',
      'release --participant 12345678 --key-type PHONE --key +5511987654321 --by ana',
    ],
  )
    .addOption(participantOption().default(undefined, 'all'))
    .addOption(keyTypesOption())
    .option('--key <K>', 'only this key')
    .addOption(
      new Option('--run <UNDO_RUN>', 'all keys that this undo put back: its id or workflow key').conflicts(
        'key',
      ),
    )
    .requiredOption('--by <NAME>', 'who releases them; kept for the auditor')
    .action(async (options: ReleaseOptions) => {
      await withDatabase({}, async ({ pool }) => {
        const run = options.run === undefined ? null : await findRun(pool, options.run);
        const { rows } = await translateDatabaseErrors(async () =>
          pool.query<{ released: string }>('select dict.release_keys($1, $2, $3, $4, $5) as released', [
            options.by,
            options.participant ?? null,
            options.keyType ?? null,
            options.key ?? null,
            run,
          ]),
        );
        const released = Number(one(rows).released);
        printAnswer(options, { released }, () =>
          released === 0 ? 'No held key matches.' : `${formatCount(released)} keys are released.`,
        );
      });
    });
}
