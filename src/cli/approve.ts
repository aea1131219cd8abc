import type { Command } from 'commander';
import { decision } from './decide.ts';

/** `dict-vsync approve`: a person lets a reconciliation apply the set it froze. */
export function approve(): Command {
  return decision('approve', 'Approves what a reconciliation found: it goes on and repairs.', 'approved');
}
