import { type Command, Option } from 'commander';
import { decision, type DecisionOptions } from './decision-command.ts';

interface ApproveOptions extends DecisionOptions {
  register?: boolean;
  registerKey?: string[];
}

/** `dict-vsync approve`: a person lets a reconciliation apply the set it froze. */
export function approve(): Command {
  return decision<ApproveOptions>(
    'approve',
    'Approves what a reconciliation found: it goes on and repairs.',
    'approved',
    async (tx, run, { register, registerKey, by, reason }) => {
      if (register !== true && registerKey === undefined) return;
      await tx.query('select dict.register_local_only($1, $2, $3, $4)', [
        run,
        registerKey ?? null,
        by,
        reason,
      ]);
    },
  )
    .option(
      '--register',
      'register the local-only keys of the set at DICT instead of removing them (Manual §3.3; never EVPs)',
    )
    .addOption(
      new Option('--register-key <KEY>', 'the same for this key only; may be repeated')
        .argParser((key: string, before?: string[]) => [...(before ?? []), key])
        .conflicts('register'),
    );
}
