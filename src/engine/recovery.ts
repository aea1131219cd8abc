import type { Connections } from './query-timeout.ts';
import type { Logger } from 'pino';
import { crashPoint } from './crash-points.ts';
import type { Executor } from './executor.ts';
import type { OwnClaim } from './heartbeat-shared.ts';

export interface RecoveryOptions {
  log: Logger;
  /** Called for each thing that this worker repaired: `abandoned`, `poisoned`, `without job`, … */
  onRecovered?: ((what: string) => void) | undefined;
}

/** What a worker does after each beat: aborts cancelled and closed runs, and releases claims that it does not know. */
export function followClaims<S>(
  pool: Connections,
  executor: Executor<S>,
  { log, onRecovered }: RecoveryOptions,
): (claims: readonly OwnClaim[]) => Promise<void> {
  let idleClaims = new Set<string>();
  return async (claims) => {
    const idle = new Set<string>();
    for (const { runId, version, cancel } of claims) {
      const claim = `${runId} ${version}`;
      if (executor.worksOn(runId)) {
        if (cancel) executor.abortCancelled(runId);
      } else if (idleClaims.has(claim)) {
        // Claimed in our name, but nobody works on it: the answer to the claim was lost with its connection.
        log.warn({ runId }, 'the answer to a claim was lost; the step is released');
        await executor.release({ id: runId, version });
        onRecovered?.('lost claim');
      } else {
        idle.add(claim);
      }
    }
    idleClaims = idle;
    // A run may close while its step is running, for example a child that its parent terminates. The work is then
    // useless.
    const claimed = new Set(claims.map(({ runId }) => runId));
    const unclaimed = executor.runs().filter((runId) => !claimed.has(runId));
    if (unclaimed.length === 0) return;
    const { rows } = await pool.query<{ id: string }>(
      'select id from workflow.runs where id = any ($1::uuid[]) and closed_at is not null',
      [unclaimed],
    );
    for (const { id } of rows) executor.abortCancelled(id);
  };
}

/** Releases the claims of silent workers, repairs each open run that nothing would advance, and reports each. */
export async function sweep(pool: Connections, { log, onRecovered }: RecoveryOptions): Promise<void> {
  crashPoint('before-sweep');
  const { rows } = await pool.query<{ run_id: string; what: string }>('select * from workflow.sweep()');
  crashPoint('after-sweep');
  for (const { run_id: runId, what } of rows) {
    onRecovered?.(what);
    log.warn({ runId, recovered: what }, 'recovered a run');
  }
}
