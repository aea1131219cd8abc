import { type Command, Option } from 'commander';
import { decision, type DecisionOptions } from './decision-command.ts';

interface ApproveOptions extends DecisionOptions {
  register?: boolean;
  registerKey?: string[];
}

/** `dict-vsync approve`: a person allows a reconciliation to repair the set that it froze. */
export function approve(): Command {
  return decision<ApproveOptions>(
    'approve',
    'Approves the frozen set of a reconciliation, which then repairs it.',
    'approved',
    async (tx, run, { register, registerKey, by, reason, set }) => {
      if (register !== true && registerKey === undefined) return false;
      await tx.query('select dict.register_local_only($1, $2, $3, $4, $5)', [
        run,
        registerKey ?? null,
        by,
        reason,
        set ?? null,
      ]);
      return true;
    },
  )
    .option(
      '--register',
      'register keys of the set that only the local base has at DICT, instead of removing them here (Manual §3.3; never EVPs)',
    )
    .addOption(
      new Option('--register-key <KEY>', 'like --register, for this key only; may be repeated')
        .argParser((key: string, before?: string[]) => [...(before ?? []), key])
        .conflicts('register'),
    );
}
