import type { DivergenceReport, SampledDivergence } from '../../dict/log/divergence-report.ts';
import { fields, formatCount, formatDuration, table, formatTime } from './format.ts';

const GROUPS_SHORT = 5;
const GROUPS_FULL = 20;
const CORRECTIONS_SHOWN = 100;

/** A short report without any key: counts, the planned repair, what a decision leads to, the largest groups. */
export function shortReport(report: DivergenceReport): string {
  return [
    overview(report),
    ...decisionHelp(report),
    titledGroups('Largest groups', report.largestGroups, GROUPS_SHORT),
  ].join('\n\n');
}

/** The full report, including the sample of keys. */
export function fullReport(report: DivergenceReport): string {
  return [
    overview(report),
    ...decisionHelp(report),
    ...leftAndCorrected(report),
    table(
      ['side', 'decision', 'CIDs'],
      report.decisions.map(({ side, decision, cids }) => [nameOf(side), decision, formatCount(cids)]),
    ),
    titledGroups('Largest groups', report.largestGroups, GROUPS_FULL),
    titledGroups(
      'By day on which the local base received the CID (Brasília)',
      report.days.toSorted((a, b) => b.cids - a.cids),
      GROUPS_FULL,
    ),
    titledGroups('By branch', report.branches, GROUPS_FULL),
    `Sample\n${table(['kind', 'decision', 'key', 'branch', 'received', 'CID'], report.sample.map(sampled))}`,
  ].join('\n\n');
}

function overview({ kinds, plan, planned, share, ...report }: DivergenceReport): string {
  const undecided =
    kinds.unknownKeys === 0
      ? ''
      : ` (the keys of ${formatCount(kinds.unknownKeys)} are unknown until they are fetched from DICT: some may be changed keys)`;
  const threshold =
    report.threshold === null ? '' : `; more than ${formatCount(report.threshold)} need approval`;
  const fieldsChanged = Object.entries(report.changedFields).filter(([, keys]) => keys > 0);
  return fields([
    ['comparison', `${report.round}, ${formatTime(report.comparedAt)}`],
    [
      'age of the set',
      `${formatDuration(report.ageSeconds)} (the state of ${formatTime(report.snapshotAt)})`,
    ],
    [
      'found by',
      report.foundBy &&
        `${FOUND_BY[report.foundBy]}${report.foundByReason ? `: ${report.foundByReason}` : ''}`,
    ],
    ['divergent CIDs', `${formatCount(kinds.cids)}, ${formatCount(kinds.pending)} of them undecided`],
    ['in DICT only', `${formatCount(kinds.dictOnly)}${undecided}`],
    ['local only', formatCount(kinds.localOnly)],
    ['changed keys', `${formatCount(kinds.changedKeys)} (${formatCount(kinds.changedCids)} CIDs)`],
    ['in all comparisons', `${formatCount(report.foundInAllRounds)} CIDs${threshold}`],
    [
      'needs approval',
      report.approvalReasons.length === 0
        ? null
        : report.approvalReasons.map((reason) => NEEDS_APPROVAL[reason]).join('; '),
    ],
    [
      'planned repair',
      kinds.pending === 0
        ? 'nothing'
        : planned.unasked > 0
          ? `soft-delete up to ${formatCount(plan.remove)}, correct ${formatCount(plan.correct)}, fetch ${formatCount(plan.fetch)} from DICT and add or correct them`
          : `add ${formatCount(planned.add)}, correct ${formatCount(planned.correct)}, remove ${formatCount(planned.remove)}, register ${formatCount(planned.register)} at DICT; leave ${formatCount(planned.leave)} CIDs`,
    ],
    [
      'corrections differ in',
      fieldsChanged.length === 0
        ? null
        : fieldsChanged.map(([part, keys]) => `${part} (${formatCount(keys)})`).join(', '),
    ],
    [
      'share of the base',
      `${share.percent} % (${planned.unasked > 0 ? 'up to ' : ''}${formatCount(share.keys)} of ${formatCount(share.base)} keys)`,
    ],
    ['deadline', deadlineText(report.deadline)],
    [
      "DICT's rate limits",
      `${formatCount(plan.lookups)} lookups, ${plan.seconds === 0 ? 'no waiting time' : `at least ${formatDuration(plan.seconds)}`}`,
    ],
    ['frozen set', report.setHash],
  ]);
}

const NEEDS_APPROVAL: Record<DivergenceReport['approvalReasons'][number], string> = {
  CIDS: 'more divergent CIDs than MANUAL_APPROVAL_THRESHOLD',
  DAY: 'more keys in 24 hours than APPROVAL_DAILY_KEYS',
  SHARE: 'more of the base than APPROVAL_BASE_PERCENT',
  OWNER: 'a correction changes the owner of a key',
  UNSEEN: 'too many CIDs to ask DICT before, so a change of owner cannot be excluded',
};

function deadlineText(deadline: DivergenceReport['deadline']): string | null {
  if (deadline === null) return null;
  const last =
    deadline.lastOkAt === null
      ? 'there was never an OK'
      : `the last OK was at ${formatTime(deadline.lastOkAt)}`;
  const at = formatTime(deadline.at);
  return deadline.hoursLeft > 0
    ? `${formatDuration(deadline.hoursLeft * 3600)} left, until ${at}; ${last}`
    : `missed since ${at}; ${last}`;
}

/** What each decision leads to, and the days before, against which the numbers can be compared. */
function decisionHelp({ leadsTo, nights }: DivergenceReport): string[] {
  const before = table(
    ['day', 'verified', 'reconciliations', 'CIDs', 'added', 'corrected', 'removed', 'registered'],
    nights.map((night) => [
      night.day,
      night.verified ?? 'not verified',
      ...[
        night.reconciliations,
        night.cids,
        night.added,
        night.corrected,
        night.removed,
        night.registered,
      ].map(formatCount),
    ]),
  );
  return [
    ...(leadsTo === null
      ? []
      : [
          `What a decision leads to\n${fields([
            ['approve', leadsTo.approve],
            ['reject', leadsTo.reject],
            ['wait', leadsTo.wait],
          ])}`,
        ]),
    `The ten days before\n${before}`,
  ];
}

function leftAndCorrected({ left, corrections }: DivergenceReport): string[] {
  return [
    ...(left.length === 0
      ? []
      : [
          `Left as they are\n${table(
            ['CIDs', 'why'],
            left.map(({ cids, why }) => [formatCount(cids), why]),
          )}`,
        ]),
    ...(corrections.length === 0
      ? []
      : [
          `Corrected keys, changes of the owner first${corrections.length < CORRECTIONS_SHOWN ? '' : ' (the others are in the CSV)'}\n${table(
            ['key', 'differs in', 'CID'],
            corrections
              .slice(0, CORRECTIONS_SHOWN)
              .map(({ key, differs, cid }) => [key, differs.join(', '), cid]),
          )}`,
        ]),
  ];
}

const FOUND_BY = { EVENT_LOG: 'the event logs', FILE: "DICT's CID file" };

interface Group {
  day?: string | null;
  branch?: string | null;
  cids: number;
  pending: number;
}

function titledGroups(title: string, groups: readonly Group[], most: number): string {
  const [first] = groups;
  if (first === undefined) return `${title}\nnone`;
  const shown = groups.slice(0, most);
  const rest = groups.length - shown.length;
  const columns = (['day', 'branch'] as const).filter((column) => column in first);
  const text = table(
    [...columns, 'CIDs', 'undecided'],
    shown.map((group) => [
      ...columns.map((column) => (column === 'day' ? dayOf(group.day) : branchOf(group.branch))),
      formatCount(group.cids),
      formatCount(group.pending),
    ]),
  );
  return `${title}\n${text}${rest > 0 ? `\n… and ${formatCount(rest)} more` : ''}`;
}

function dayOf(day: string | null | undefined): string {
  return day ?? 'never received';
}

function branchOf(branch: string | null | undefined): string {
  return branch === '' ? 'no branch' : (branch ?? 'not known yet');
}

function nameOf(kind: SampledDivergence['kind']): string {
  return { DICT_ONLY: 'in DICT only', LOCAL_ONLY: 'local only', CHANGED: 'changed' }[kind];
}

function sampled({ kind, side, decision, key, branch, cameAt, cid }: SampledDivergence): string[] {
  const name = kind === 'CHANGED' ? `changed, ${side === 'DICT_ONLY' ? "DICT's" : 'local'}` : nameOf(kind);
  return [
    name,
    decision,
    key ?? 'not known yet',
    branchOf(branch),
    cameAt ? formatTime(cameAt) : 'never received',
    cid,
  ];
}
