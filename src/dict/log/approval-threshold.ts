import type { FrozenSet } from './reconciliation-log.ts';

/**
 * Whether a person must approve a frozen set before it is applied: all rounds together found more divergent CIDs than
 * MANUAL_APPROVAL_THRESHOLD, and this round has some that nobody has approved yet.
 */
export function needsApproval({ found, unapproved }: FrozenSet, threshold: number): boolean {
  return found > threshold && unapproved > 0;
}
