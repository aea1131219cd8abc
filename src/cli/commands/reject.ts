import type { Command } from 'commander';
import { decision } from './decision-command.ts';

/** `dict-vsync reject`: a person forbids a reconciliation to repair the set that it froze. */
export function reject(): Command {
  return decision(
    'reject',
    'Rejects the frozen set of a reconciliation: nothing is repaired, and the run ends REJECTED.',
    'rejected',
  );
}
