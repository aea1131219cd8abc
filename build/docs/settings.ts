import { describeSettings, type SettingDescription } from '../../src/settings.ts';
import type { Page } from './page.ts';

/** The sections of docs/reference/settings.md. A setting is in the first section whose pattern matches its name. */
const SECTIONS: readonly (readonly [title: string, names: RegExp])[] = [
  ['Database', /^(DATABASE_|GRAPHILE_WORKER_)/],
  ['Participants and Bridge', /^(PARTICIPANT_|BRIDGE_)/],
  [
    'Verification and reconciliation',
    /^(MANUAL_|APPROVAL_|IN_FLIGHT_|EVENT_LOG_|NOK_|FILE_|REPAIR_|SCAN_|SYNC_|CRONTAB$)/,
  ],
  ['Messages to Core-Dict', /^(NOTIFY_|OUTBOX_)/],
  ['Key events from the core system', /^KEY_EVENTS_/],
  ['Worker', /./],
];

/** docs/reference/settings.md: the settings of src/settings.ts as tables. */
export const settingsPage: Page = { file: 'docs/reference/settings.md', text };

function text(): string {
  const sections = SECTIONS.map(([title]) => ({ title, settings: [] as SettingDescription[] }));
  for (const setting of describeSettings()) {
    sections[SECTIONS.findIndex(([, names]) => names.test(setting.name))]?.settings.push(setting);
  }
  return [
    '# Settings',
    '',
    '<!-- Generated from src/settings.ts by `npm run docs`. Change the text there. -->',
    '',
    'Settings come from environment variables. An empty variable counts as not set. When a command starts, all problems',
    'are reported together (`DV_SETTINGS_INVALID`, [errors.md](errors.md)); a message never shows a value.',
    ...sections.flatMap(({ title, settings }) => [
      '',
      `## ${title}`,
      '',
      '| variable | default | accepts | meaning |',
      '| --- | --- | --- | --- |',
      ...settings.map(row),
    ]),
    '',
  ].join('\n');
}

function row({ name, unset, accepts, description }: SettingDescription): string {
  return `| ${[`\`${name}\``, unset || '–', accepts ?? '–', description].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
