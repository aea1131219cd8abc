import type { DivergenceReport, SampledDivergence } from '../../dict/log/divergence-report.ts';
import { fields, formatCount, formatDuration, table, formatTime } from './format.ts';

const GROUPS_SHORT = 5;
const GROUPS_FULL = 20;

/** A short report without any key: counts, the planned repair, the largest groups, the hash. */
export function shortReport(report: DivergenceReport): string {
  return `${overview(report)}\n\n${titledGroups('Largest groups', report.largestGroups, GROUPS_SHORT)}`;
}

/** The full report, including the sample of keys. */
export function fullReport(report: DivergenceReport): string {
  return [
    overview(report),
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

function overview({ kinds, plan, ...report }: DivergenceReport): string {
  const undecided =
    kinds.unknownKeys === 0
      ? ''
      : ` (the keys of ${formatCount(kinds.unknownKeys)} are unknown until they are fetched from DICT: some may be changed keys)`;
  const threshold =
    report.threshold === null ? '' : `; more than ${formatCount(report.threshold)} need approval`;
  return fields([
    ['comparison', `${report.round}, ${formatTime(report.comparedAt)}`],
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
      'planned repair',
      kinds.pending === 0
        ? 'nothing'
        : `soft-delete up to ${formatCount(plan.remove)}, correct ${formatCount(plan.correct)}, fetch ${formatCount(plan.fetch)} from DICT and add or correct them`,
    ],
    [
      "DICT's rate limits",
      `${formatCount(plan.lookups)} lookups, ${plan.seconds === 0 ? 'no waiting time' : `at least ${formatDuration(plan.seconds)}`}`,
    ],
    ['frozen set', report.setHash],
  ]);
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
