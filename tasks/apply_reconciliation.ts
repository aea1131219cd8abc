import { roundActivity } from '../src/workflows/define-activity.ts';
import { proofStart } from '../src/dict/event-log/replay-source.ts';
import { NO_EVIDENCE_NEEDED, readRemovalEvidence } from '../src/dict/repair/removal-evidence.ts';
import { LOOKUPS_AGAIN_MS, lookUp, pendingDivergences } from '../src/dict/repair/repair-lookup.ts';
import { registerPlanned } from '../src/dict/repair/registration.ts';
import { applyFindings } from '../src/dict/repair/repair-policy.ts';
import { publishChanges } from '../src/notify/index.ts';

/** CIDs looked up and applied in a step. Each step is a transaction of its own; none of them runs long. */
const CHUNK = 200;

/**
 * Applies the round's frozen set in chunks. It asks DICT about each CID and registers at DICT what a person marked for
 * it. Then one transaction decides, changes the key base, records before and after, and publishes the changes.
 */
export default roundActivity<'again' | 'applied'>(
  async ({ run, input, context, attempt, enteredAt, signal, log }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round } = context;
    const pending = await pendingDivergences(pool, run.id, round, CHUNK);
    if (pending.length === 0) return { outcome: 'applied' };
    const call = { correlationId: run.correlationId, signal };
    const scope = { runId: run.id, round, participant, keyType };
    const lookups = await lookUp(pool, bridge, scope, pending, call);
    const { findings, failed, brokenOffBy } = await registerPlanned(
      pool,
      bridge,
      scope,
      pending,
      lookups,
      call,
    );
    // What was fetched before the rate limit was reached is applied. Only a step that got nothing has failed.
    if (findings.length === 0 && failed === 0) throw brokenOffBy;
    const removes = findings.some(({ side, says }) => side === 'LOCAL_ONLY' && says === 'ABSENT');
    const proofFrom = removes ? await proofStart(pool, input, settings.EVENT_LOG_MAX_HOURS) : undefined;
    const patience = { attempt, enteredAt, logUnavailable: context.logUnavailable === round, proofFrom };
    const evidence = removes
      ? await readRemovalEvidence(pool, bridge, scope, patience, call)
      : NO_EVIDENCE_NEEDED;
    return async (tx) => {
      const changes = await applyFindings(tx, scope, findings, evidence);
      await publishChanges(tx, scope, changes);
      const detail = { lookedUp: findings.length, changed: changes.length, failed };
      log.info(detail, 'repaired a chunk');
      // Only CIDs that DICT fails on are left.
      return { outcome: 'again', detail, wakeAfterMs: findings.length === 0 ? LOOKUPS_AGAIN_MS : undefined };
    };
  },
);
