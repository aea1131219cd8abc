import type { CidSetEvent } from '../../bridge/index.ts';
import { lastEvents } from './event-log.ts';
import type { Divergence } from '../compare/divergence-batch.ts';
import { parseCid } from '../entry/cid.ts';
import { VSync } from '../vsync/vsync.ts';

/**
 * A CID that the local base gained or lost since the confirmed snapshot, and whether it was there then and is there
 * now.
 */
export interface LocalChange {
  cid: Buffer;
  then: boolean;
  now: boolean;
}

/**
 * Finds the divergences by replaying both logs from a time when both sides were proved equal. A CID in DICT's log is in
 * DICT if its last event is ADDED; any other CID is in DICT if it was there at that time. `held`: those CIDs of DICT's
 * log that the key base contains (hex). Ascending by CID.
 */
export function replayLogs(
  events: readonly CidSetEvent[],
  local: readonly LocalChange[],
  held: ReadonlySet<string>,
): Divergence[] {
  const last = lastEvents(events);
  const changes = new Map(local.map((change) => [change.cid.toString('hex'), change]));
  const divergences: Divergence[] = [];
  for (const hex of new Set([...last.keys(), ...changes.keys()])) {
    const cid = parseCid(hex);
    const change = changes.get(hex);
    const event = last.get(hex);
    const here = change?.now ?? held.has(hex);
    const there = event === undefined ? (change?.then ?? false) : event.type === 'ADDED';
    if (here !== there) divergences.push({ side: there ? 'DICT_ONLY' : 'LOCAL_ONLY', cid });
  }
  return divergences.sort((a, b) => a.cid.compare(b.cid));
}

/** Whether the divergences explain the whole difference: local VSync XOR divergences = DICT's SyncVerifierEnd. */
export function explains(divergences: readonly Divergence[], vsyncLocal: string, vsyncDict: string): boolean {
  const vsync = VSync.parse(vsyncLocal);
  for (const { cid } of divergences) vsync.xor(cid);
  return vsync.equals(VSync.parse(vsyncDict));
}
