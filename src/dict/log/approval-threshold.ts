import type { FrozenSet } from '../repair/repair-plan.ts';

/** The settings that decide which repairs need a person. */
export interface ApprovalLimits {
  MANUAL_APPROVAL_THRESHOLD: number;
  APPROVAL_DAILY_KEYS: number;
  APPROVAL_BASE_PERCENT: number;
  APPROVAL_OWNER_CHANGES: number;
}

/** Below this number of keys a share of the base says nothing: 1 % of a new participant's 30 keys is not even one. */
const SHARE_FROM_KEYS = 20;

/** Why a repair needs approval, as dict.rounds.approval_reasons keeps it. */
export type ApprovalReason = 'CIDS' | 'DAY' | 'SHARE' | 'OWNER' | 'UNSEEN';

/**
 * Why a person must approve a frozen set before it is applied; empty if nobody must, or everything is approved already.
 * - CIDS: all rounds together found more divergent CIDs than MANUAL_APPROVAL_THRESHOLD;
 * - DAY: with it, more than APPROVAL_DAILY_KEYS keys would be changed within 24 hours without an approval;
 * - SHARE: it changes more than APPROVAL_BASE_PERCENT of the base, and more than 20 keys;
 * - OWNER: a correction changes the owner;
 * - UNSEEN: DICT was not asked before, so a change of the owner cannot be excluded.
 */
export function approvalReasons(set: FrozenSet, limits: ApprovalLimits): ApprovalReason[] {
  if (set.unapproved === 0) return [];
  const share = Math.max(SHARE_FROM_KEYS, (set.base * limits.APPROVAL_BASE_PERCENT) / 100);
  const owners = limits.APPROVAL_OWNER_CHANGES === 1;
  const reasons: Record<ApprovalReason, boolean> = {
    CIDS: set.found > limits.MANUAL_APPROVAL_THRESHOLD,
    DAY: set.keys + set.keysOfTheDay > limits.APPROVAL_DAILY_KEYS,
    SHARE: set.keys > share,
    OWNER: owners && set.ownerChanges > 0,
    UNSEEN: owners && set.unasked > 0,
  };
  return (Object.keys(reasons) as ApprovalReason[]).filter((reason) => reasons[reason]);
}
