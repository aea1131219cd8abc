import type { HistoryEvent, StepError } from '../../engine/index.ts';

/** One line of a run's history: an attempt of a state, or an event. */
export interface TimelineItem {
  at: Date;
  state: string;
  /** The number of the attempt. Null for other events. */
  attempt: number | null;
  /** How the attempt ended (its outcome, "failed", "abandoned", …), or the event. */
  result: string;
  nextState: string | null;
  /** Duration of an attempt that has ended. */
  seconds: number | null;
  /** How many attempts in a row ended with this result: chunks of a loop, requests of a poll. */
  times: number;
  error: StepError | null;
}

/** A run's history for people: start and end of an attempt are one line, and so are repetitions. */
export function timeline(history: readonly HistoryEvent[]): TimelineItem[] {
  const items: TimelineItem[] = [];
  let begun: HistoryEvent | undefined;
  for (const event of history) {
    if (event.event === 'STARTED') {
      begun = event;
      continue;
    }
    const item = begun !== undefined && ENDS.has(event.event) ? attemptOf(begun, event) : eventOf(event);
    if (ENDS.has(event.event)) begun = undefined;
    const last = items.at(-1);
    if (last !== undefined && repeats(last, item)) {
      last.times += 1;
      last.seconds = (last.seconds ?? 0) + (item.seconds ?? 0);
    } else items.push(item);
  }
  if (begun !== undefined) items.push({ ...eventOf(begun), attempt: begun.attempt, result: 'running' });
  return items;
}

/** The events that end an attempt. */
const ENDS = new Set(['COMPLETED', 'FAILED', 'RELEASED', 'ABANDONED']);

function attemptOf(begun: HistoryEvent, end: HistoryEvent): TimelineItem {
  return {
    ...eventOf(end),
    at: begun.at,
    attempt: begun.attempt,
    result: end.event === 'COMPLETED' ? (end.outcome ?? 'done') : end.event.toLowerCase(),
    seconds: (end.at.getTime() - begun.at.getTime()) / 1000,
  };
}

function eventOf({ at, state, event, outcome, nextState, error, detail }: HistoryEvent): TimelineItem {
  const about = [outcome, ...['by', 'reason'].map((name) => detail?.[name])].filter(
    (part) => typeof part === 'string',
  );
  const result = [event.toLowerCase().replaceAll('_', ' '), ...about].join(': ');
  return { at, state, attempt: null, result, nextState, seconds: null, times: 1, error };
}

function repeats(last: TimelineItem, item: TimelineItem): boolean {
  return (
    item.attempt !== null &&
    item.error === null &&
    last.error === null &&
    last.state === item.state &&
    last.attempt === item.attempt &&
    last.result === item.result
  );
}
