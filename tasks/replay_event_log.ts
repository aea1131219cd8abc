import { roundActivity } from '../src/workflows/define-activity.ts';
import { parseCid } from '../src/dict/entry/cid.ts';
import { DivergenceBatch } from '../src/dict/compare/divergence-batch.ts';
import { type EventLog, lastEvents, readEventLog } from '../src/dict/event-log/event-log.ts';
import { addDivergences, clearDivergences, recordFindings } from '../src/dict/log/reconciliation-log.ts';
import { refuseHopelessRepair } from '../src/dict/repair/repair-estimate.ts';
import { explains, replayLogs } from '../src/dict/event-log/replay.ts';
import { readLogPatiently } from '../src/dict/event-log/log-patience.ts';
import {
  type ConfirmedSync,
  lastConfirmed,
  readFrom,
  readLocalReplay,
} from '../src/dict/event-log/replay-source.ts';
import { DvError } from '../src/errors/dv-error.ts';

/** 4,000 events: what the log's token bucket (100, 20 a minute) gives five simultaneous key types without waiting. */
const PAGES = 20;

/**
 * Tries to find the divergences without a CID file (DICT gives 40 a day) by replaying both logs from the last OK. The
 * result counts only if local VSync XOR divergences = DICT's SyncVerifierEnd; otherwise the CID file is used. The
 * history and dict.rounds record the choice and its reason.
 */
export default roundActivity<'identical' | 'different' | 'use_file'>(
  async ({ run, input, context, attempt, enteredAt, signal, log, fenced }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round, replayed } = context;
    const useFile = (reason: string) => ({
      outcome: 'use_file' as const,
      context: { foundByReason: reason },
      detail: { foundBy: 'FILE', reason },
    });
    if (replayed === true) return useFile('DICT said NOK to what an earlier replay led to');
    const confirmed = await lastConfirmed(pool, participant, keyType);
    if (confirmed === undefined) return useFile('no VSync was confirmed yet');
    if (confirmed.hoursAgo > settings.EVENT_LOG_MAX_HOURS) {
      return useFile(`the last OK is older than ${settings.EVENT_LOG_MAX_HOURS} hours`);
    }

    const scope = { participant, keyType, from: readFrom(confirmed), maxPages: PAGES };
    const events = await readLogPatiently(
      pool,
      async () => readEventLog(bridge, scope, { correlationId: run.correlationId, signal }),
      { attempt, enteredAt, logUnavailable: false },
    );
    if (events instanceof DvError) return useFile(`the event log cannot be read (${events.code})`);
    if (events.vsyncEnd === undefined) return useFile('DICT has no event since the last OK');
    if (events.truncated) return useFile('too many events since the last OK');
    if (!events.unbroken) return useFile("the event log's pages do not link up");

    const found = await replay(events, confirmed);
    if (found === undefined) return useFile("the replay does not add up to DICT's VSync");
    refuseHopelessRepair(found.length, settings.REPAIR_MAX_HOURS);
    await fenced(async (tx) => clearDivergences(tx, run.id, round));
    const batch = new DivergenceBatch(
      async (divergences) => fenced(async (tx) => addDivergences(tx, run.id, round, divergences)),
      1000,
    );
    for (const { side, cid } of found) {
      if (batch.isFull) await batch.flush();
      batch.add(side, cid, 0);
    }
    await batch.flush();
    const reason = `both logs since the OK ${confirmed.hoursAgo.toFixed(1)} hours ago add up (${events.events.length} events)`;
    const counts = { dictOnly: batch.dictOnly, localOnly: batch.localOnly };
    return async (tx) => {
      await recordFindings(tx, run.id, round, {
        foundBy: 'EVENT_LOG',
        foundByReason: reason,
        ...counts,
      });
      log.info({ ...counts, events: events.events.length }, 'replayed the event logs');
      return {
        outcome: found.length === 0 ? 'identical' : 'different',
        context: { replayed: true },
        detail: { round, foundBy: 'EVENT_LOG', reason, ...counts },
      };
    };

    async function replay({ events: list, vsyncEnd = '' }: EventLog, since: ConfirmedSync) {
      const asked = [...lastEvents(list).keys()].map(parseCid);
      const local = await readLocalReplay(pool, participant, keyType, since, asked);
      const divergences = replayLogs(list, local.changes, local.held);
      return explains(divergences, local.vsync, vsyncEnd) ? divergences : undefined;
    }
  },
);
