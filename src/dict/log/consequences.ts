import type { ApprovalContext } from './approval-context.ts';
import type { PlannedKeys } from './divergence-report.ts';

/** What each decision about a frozen set leads to, in sentences without personal data. */
export interface Consequences {
  approve: string;
  reject: string;
  wait: string;
}

/** For a set with something to decide. */
export function consequencesOf(
  planned: PlannedKeys,
  pending: number,
  deadline: ApprovalContext['deadline'],
): Consequences {
  const until = deadline?.at.toISOString().slice(0, 19);
  const breach =
    deadline === null
      ? ''
      : deadline.hoursLeft > 0
        ? ` Without an OK by ${until}Z the regulator's deadline is missed.`
        : ` The regulator's deadline was missed at ${until}Z, and stays missed until the next OK.`;
  return {
    approve: `${repair(planned)} DICT is asked about each key once more before that, and what has changed by then is left alone. If the comparison is older than APPROVAL_FRESH_MINUTES, the keys are compared again first, and only what is new needs another approval. At the end the VSync is sent to DICT.`,
    reject: `Nothing is changed, and the run ends as REJECTED. ${n(pending, 'CID')} stay different, so DICT answers NOK until a later run repairs them.${breach}`,
    wait: `Nothing is changed. The run waits without a time limit, and no other reconciliation of this participant and key type begins meanwhile.${breach}`,
  };
}

function repair({ add, correct, remove, register, leave, unasked }: PlannedKeys): string {
  const asked = `The local base is repaired: ${n(add, 'key')} added, ${n(correct, 'key')} corrected, ${n(remove, 'key')} removed.`;
  return [
    ...(add + correct + remove > 0 ? [asked] : []),
    ...(register > 0 ? [`${n(register, 'key')} registered at DICT.`] : []),
    ...(leave > 0 ? [`${n(leave, 'CID')} left alone.`] : []),
    ...(unasked > 0
      ? [
          `DICT is asked about ${n(unasked, 'CID')}, and their keys are added, corrected or removed by its answers.`,
        ]
      : []),
  ].join(' ');
}

function n(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;
}
