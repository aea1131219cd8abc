import type { Command } from 'commander';
import { decision } from './decision-command.ts';

/** `dict-vsync reject`: a person forbids a reconciliation to apply the set it froze. */
export function reject(): Command {
  return decision(
    'reject',
    'Rejects what a reconciliation found: nothing is repaired and it ends REJECTED.',
    'rejected',
  );
}
