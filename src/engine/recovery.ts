import type { Connections } from './query-timeout.ts';
import type { Logger } from 'pino';
import { crashPoint } from './crash-points.ts';
import type { Executor } from './executor.ts';
import type { HeldClaim } from './heartbeat-shared.ts';

export interface RecoveryOptions {
  log: Logger;
  /** Told of each thing this worker repaired: `abandoned`, `poisoned`, `without job`, … */
  onRecovered?: ((what: string) => void) | undefined;
}

/** What a worker does with each beat: hears of cancelled and closed runs, hands back claims it does not know of. */
export function followClaims<S>(
  pool: Connections,
  executor: Executor<S>,
  { log, onRecovered }: RecoveryOptions,
): (claims: readonly HeldClaim[]) => Promise<void> {
  let idleClaims = new Set<string>();
  return async (claims) => {
    const idle = new Set<string>();
    for (const { runId, version, cancel } of claims) {
      const claim = `${runId} ${version}`;
      if (executor.worksOn(runId)) {
        if (cancel) executor.abortCancelled(runId);
      } else if (idleClaims.has(claim)) {
        // Claimed in our name, and nobody works on it: the answer to the claim got lost with its connection.
        log.warn({ runId }, 'a claim got lost; the step is handed back');
        await executor.release({ id: runId, version });
        onRecovered?.('lost claim');
      } else {
        idle.add(claim);
      }
    }
    idleClaims = idle;
    // Closed under its step, as a child is that its parent terminates: the step's work is of no use any more.
    const held = new Set(claims.map(({ runId }) => runId));
    const unheld = executor.runs().filter((runId) => !held.has(runId));
    if (unheld.length === 0) return;
    const { rows } = await pool.query<{ id: string }>(
      'select id from workflow.runs where id = any ($1::uuid[]) and closed_at is not null',
      [unheld],
    );
    for (const { id } of rows) executor.abortCancelled(id);
  };
}

/** Frees what silent workers held, and mends every open run that nothing would move; tells of each. */
export async function sweep(pool: Connections, { log, onRecovered }: RecoveryOptions): Promise<void> {
  crashPoint('before-sweep');
  const { rows } = await pool.query<{ run_id: string; what: string }>('select * from workflow.sweep()');
  crashPoint('after-sweep');
  for (const { run_id: runId, what } of rows) {
    onRecovered?.(what);
    if (what === 'poisoned') log.error({ runId }, 'put a run aside: three workers died in its step');
    else log.warn({ runId, mended: what }, 'recovered a run');
  }
}
