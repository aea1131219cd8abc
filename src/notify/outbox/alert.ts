import { SEVERITIES, type Severity, type Warning, warningText } from '../../dict/vsync/warnings.ts';
import type { Outboxed } from './envelope.ts';

/** How alerts to a person are written: plain JSON, a Slack incoming webhook, or PagerDuty's Events API v2. */
export type AlertFormat = 'json' | 'slack' | 'pagerduty';

export interface AlertOptions {
  format: AlertFormat;
  /** PagerDuty's integration key. */
  routingKey?: string | undefined;
}

/** An alert in the format `json` (docs/guides/alerts.md). */
interface Alert extends Omit<Warning, 'since' | 'deadlineAt' | 'lastOkAt'> {
  /** The same at each delivery. */
  id: string;
  time: string;
  change: 'RAISED' | 'CLEARED';
  severity: Severity;
  /** Sentences for a person: what is wrong, and which command to run. */
  text: string;
  since: string;
  deadlineAt: string | null;
  lastOkAt: string | null;
}

/** PagerDuty allows 1,024 characters in a summary. */
const SUMMARY_LENGTH = 1024;

/** The body of the request that sends an alert. It has no personal data: an alert consists of codes, times and counts. */
export function alertBody(row: Outboxed, { format, routingKey }: AlertOptions): string {
  const alert = alertOf(row);
  switch (format) {
    case 'slack':
      return JSON.stringify({ text: escapedForSlack(alert.text) });
    case 'pagerduty':
      return JSON.stringify(pagerDutyEvent(alert, routingKey));
    case 'json':
      return JSON.stringify(alert);
  }
}

function alertOf({ id, type, participant, keyType, payload, createdAt }: Outboxed): Alert {
  const stored = payload as Pick<Alert, 'code' | 'since' | 'lastOkAt'> & Partial<Alert>;
  const { code, since, lastOkAt, count = null, runId = null, errorCode = null, deadlineAt = null } = stored;
  const change = type === 'warning.cleared' ? 'CLEARED' : 'RAISED';
  const warning: Warning = {
    ...{ participant, keyType, code, count, runId, errorCode },
    ...{ since: new Date(since), deadlineAt: date(deadlineAt), lastOkAt: date(lastOkAt) },
  };
  const of = `${participant} ${keyType}`;
  const ended = `Ended: ${of} ${code}, which had begun at ${since}.`;
  return {
    ...{ id, time: createdAt.toISOString(), change, severity: SEVERITIES[code] },
    text: change === 'CLEARED' ? ended : `${of} ${code}: ${warningText(warning)}`,
    ...warning,
    ...{ since, deadlineAt, lastOkAt },
  };
}

function date(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}

/** Slack reads these characters as markup. */
function escapedForSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function pagerDutyEvent(alert: Alert, routingKey: string | undefined): unknown {
  const { participant, keyType, code, change, text, severity, time } = alert;
  const event = {
    routing_key: routingKey,
    event_action: change === 'RAISED' ? 'trigger' : 'resolve',
    // One incident for each warning: a trigger that is repeated after a crash does not open another.
    dedup_key: `dict-vsync/${participant}/${keyType}/${code}`,
  };
  if (change === 'CLEARED') return event;
  const payload = {
    summary: text.slice(0, SUMMARY_LENGTH),
    source: `dict-vsync ${participant}`,
    severity,
    timestamp: time,
    component: keyType,
    class: code,
    custom_details: alert,
  };
  return { ...event, payload };
}
