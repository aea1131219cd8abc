import type { Bridge, CallOptions, CidSetEvent } from '../../bridge/index.ts';
import { parseCid } from '../entry/cid.ts';
import type { KeyType } from '../entry/key-type.ts';
import { VSync } from '../vsync/vsync.ts';

/** DICT's limit of one page (DICT API 2.6.1, listCidSetEvents). */
const PAGE = 200;

export interface EventLog {
  /** In DICT's order, without repetitions. */
  events: CidSetEvent[];
  /** DICT's VSync after the last event; absent if there are no events. */
  vsyncEnd?: string | undefined;
  /** Whether the SyncVerifiers of the pages link up from the first event to the last, so that no event is missing. */
  unbroken: boolean;
  /** Whether reading stopped at `maxPages` before the end of the log. */
  truncated: boolean;
}

/**
 * Reads DICT's event log of one participant and key type from `from` on (both ends inclusive), page by page. Pages
 * overlap at their last timestamp, so repetitions of (type, CID, timestamp) are dropped. If a whole page has one
 * timestamp, the next page begins after it; the chain of SyncVerifiers then shows whether an event was lost.
 */
export async function readEventLog(
  bridge: Bridge,
  scope: { participant: string; keyType: KeyType; from: Date; to?: Date; maxPages: number },
  call: CallOptions,
): Promise<EventLog> {
  const { participant, keyType } = scope;
  const vsyncAfter = new Map<string, string>();
  const events: CidSetEvent[] = [];
  let unbroken = true;
  let vsyncEnd: string | undefined;
  let startTime = scope.from.toISOString();
  for (let pages = 0; ; pages++) {
    if (pages === scope.maxPages) return { events, vsyncEnd, unbroken, truncated: true };
    const page = await bridge.listCidSetEvents(
      { participant, keyType, startTime, endTime: scope.to?.toISOString(), limit: PAGE },
      call,
    );
    const first = page.events[0];
    const last = page.events.at(-1);
    if (first === undefined || last === undefined || page.syncVerifierStart === undefined) {
      // The previous page announced more events. They have its timestamp, of which only the first 200 can be read.
      unbroken &&= pages === 0;
      break;
    }

    const vsync = VSync.parse(page.syncVerifierStart);
    unbroken &&= linksUp(first, vsync, vsyncEnd, vsyncAfter);
    for (const event of page.events) {
      // Start is the VSync after the first listed event, End = Start XOR events 2..k.
      if (event !== first) vsync.xor(parseCid(event.cid));
      const id = identity(event);
      if (vsyncAfter.has(id)) continue;
      vsyncAfter.set(id, vsync.toHex());
      events.push(event);
    }
    unbroken &&= vsync.toHex() === page.syncVerifierEnd;
    vsyncEnd = vsync.toHex();
    if (!page.hasMoreElements) break;
    startTime = last.timestamp > startTime ? last.timestamp : aMillisecondAfter(last.timestamp);
  }
  return { events, vsyncEnd, unbroken, truncated: false };
}

/** Whether a page continues where the previous one ended: at an event known from it, or right after its last. */
function linksUp(
  first: CidSetEvent,
  vsyncStart: VSync,
  previousEnd: string | undefined,
  vsyncAfter: ReadonlyMap<string, string>,
): boolean {
  if (previousEnd === undefined) return true;
  const known = vsyncAfter.get(identity(first));
  if (known !== undefined) return known === vsyncStart.toHex();
  return VSync.parse(previousEnd).xor(parseCid(first.cid)).equals(vsyncStart);
}

function identity({ type, cid, timestamp }: CidSetEvent): string {
  return `${type} ${cid} ${timestamp}`;
}

function aMillisecondAfter(timestamp: string): string {
  return new Date(new Date(timestamp).getTime() + 1).toISOString();
}

/** The last event of each CID in the log, which is the one that counts (A → B → A). */
export function lastEvents(events: readonly CidSetEvent[]): Map<string, CidSetEvent> {
  return new Map(events.map((event) => [event.cid, event]));
}
