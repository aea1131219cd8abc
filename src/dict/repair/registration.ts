import type { Bridge, CallOptions } from '../../bridge/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import type { Entry } from '../entry/entry.ts';
import type { KeyType } from '../entry/key-type.ts';
import {
  FAILURES,
  type Finding,
  keepFailures,
  keepFindings,
  type Lookups,
  type PendingDivergence,
} from './repair-lookup.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** Simultaneous registrations; each is a write at DICT. */
const CONCURRENCY = 8;

/**
 * Registers at DICT (createEntry, reason RECONCILIATION) the local-only keys that a person marked for it, if DICT has
 * just answered that they are absent (Manual Operacional do DICT §3.3). Each gets a new RequestId, as a key does that is
 * registered again. The RequestId is kept before the call, so that a repetition after a crash is the same request for
 * DICT, and makes no second entry. Each answer is recorded as it arrives, with the entry as DICT has registered it. A key
 * that is held or in flight is not registered and not removed. DICT's refusal (400, 403) makes the finding REFUSED with DICT's
 * problem type.
 */
export async function registerPlanned(
  db: Db,
  bridge: Bridge,
  round: { runId: string; round: number; participant: string; keyType: KeyType },
  pending: readonly PendingDivergence[],
  lookups: Lookups,
  call: CallOptions,
): Promise<Lookups> {
  const planned = new Map(
    pending
      .filter(({ plan, side }) => plan === 'REGISTER' && side === 'LOCAL_ONLY')
      .map((divergence) => [divergence.cid.toString('hex'), divergence]),
  );
  const isPlanned = (finding: Finding) =>
    finding.says === 'ABSENT' && planned.has(finding.cid.toString('hex'));
  const asked = lookups.findings.filter(isPlanned);
  if (asked.length === 0) return lookups;

  const findings = lookups.findings.filter((finding) => !isPlanned(finding));
  const entries = await registrable(
    db,
    round,
    asked.map(({ cid }) => cid),
  );
  const failures: { cid: Buffer; correlationId: string | null }[] = [];
  let { brokenOffBy } = lookups;
  const queue = asked.values();
  const worker = async () => {
    for (const { cid, side, correlationId } of queue) {
      if (brokenOffBy !== undefined) return;
      const hex = cid.toString('hex');
      const entry = entries.get(hex);
      if (entry === undefined) {
        findings.push({ cid, side, correlationId, says: 'ABSENT', keep: true });
        continue;
      }
      try {
        const made = await bridge.createEntry({ entry, reason: 'RECONCILIATION' }, call);
        const { correlationId: id, entry: atDict } = made;
        const finding = { cid, side, correlationId: id, says: 'REGISTERED' as const, entry: atDict };
        await keepFindings(db, round, [finding]);
        findings.push(finding);
      } catch (error) {
        if (!(error instanceof DvError)) throw error;
        const said = { cid, side, correlationId: error.correlationId ?? null };
        if (error.code === 'DV_DICT_BAD_REQUEST' || error.code === 'DV_DICT_FORBIDDEN') {
          const why = `DICT refused to register it: ${error.problemType ?? error.code}`;
          findings.push({ ...said, says: 'REFUSED', why, key: entry.key });
        } else if (error.code === 'DV_DICT_INTERNAL') {
          if ((planned.get(hex)?.failures ?? 0) + 1 >= FAILURES)
            findings.push({
              ...said,
              says: 'QUARANTINED',
              why: 'DICT had an internal error (500) each time it was to register this key',
            });
          else failures.push(said);
        } else {
          brokenOffBy ??= error;
        }
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, asked.length) }, worker));
  await keepFailures(db, round, failures);
  return { findings, failed: lookups.failed + failures.length, brokenOffBy };
}

/**
 * The local entries of these CIDs, by CID, that are not in flight and not held: the same check as before a removal. Each
 * with the new RequestId that it is to be registered with, which is kept in the divergence from now on.
 */
async function registrable(
  db: Db,
  { runId, round, participant, keyType }: Parameters<typeof registerPlanned>[2],
  cids: readonly Buffer[],
): Promise<Map<string, Entry>> {
  // gen_random_uuid gives version 4, which is what BACEN's schema RequestId asks for.
  const { rows } = await db.query<{ cid: string; content: Entry; requestId: string }>(
    `update dict.divergences d set register_request_id = coalesce(d.register_request_id, gen_random_uuid())
     from dict.entries e, dict.rounds r
     where r.run_id = $1 and r.round = $2 and e.participant = $3 and e.key_type = $4 and e.cid = any ($5)
       and (d.run_id, d.round, d.cid) = (r.run_id, r.round, e.cid)
       and e.removed_at is null and not dict.in_flight(e.changed_xid, e.since, e.changed_why, r)
       and not exists (select from dict.held_keys h where h.released_at is null
         and (h.participant, h.key_type, h.key) = (e.participant, e.key_type, e.key))
     returning encode(e.cid, 'hex') as cid, dict.entry_json(e) as content, d.register_request_id as "requestId"`,
    [runId, round, participant, keyType, cids],
  );
  return new Map(
    rows.map(({ cid, requestId, content: { openingDate, ...entry } }) => [
      cid,
      { ...entry, requestId, openingDate: openingDate === null ? null : new Date(openingDate).toISOString() },
    ]),
  );
}

/**
 * Copies what a person has decided into this round: the plans of earlier rounds, because after a late approval the run
 * compares again and the decision still counts; and, of earlier runs, that an UNSURE key is to be removed.
 */
export async function keepPlans(tx: Db, runId: string, round: number): Promise<void> {
  await tx.query(
    `update dict.divergences d set plan = p.plan, plan_by = p.plan_by, plan_why = p.plan_why, key = coalesce(p.key, d.key),
       register_request_id = p.register_request_id
     from (
       select distinct on (cid) * from (
         select cid, key, plan, plan_by, plan_why, register_request_id, round from dict.divergences
         where run_id = $1 and round < $2 and plan is not null
         union all
         -- By the index on what earlier runs left for a person.
         select o.cid, o.key, o.plan, o.plan_by, o.plan_why, null, 0
         from dict.divergences o join dict.reconciliations m using (run_id) join dict.reconciliations n on n.run_id = $1
         where o.decision in ('UNSURE', 'REFUSED') and o.plan = 'REMOVE' and o.run_id <> $1
           and (m.participant, m.key_type) = (n.participant, n.key_type)) o
       order by cid, round desc) p
     where d.run_id = $1 and d.round = $2 and d.side = 'LOCAL_ONLY' and d.decision = 'PENDING' and d.cid = p.cid`,
    [runId, round],
  );
}
