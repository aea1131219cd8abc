import type { Logger } from 'pino';
import type { Pool } from 'pg';
import type { Json, StepError } from './activity-contract.ts';
import { inTransaction } from './transaction.ts';

interface Failure {
  runId: string;
  machine: string;
  correlationId: string;
  input: Json;
  status: 'FAILED' | 'POISONED';
  error: StepError | null;
}

/**
 * Logs each run that ended FAILED or POISONED, in one line at level error, whichever worker, sweep or statement ended
 * it. Of several workers one logs a run. If a worker dies between the line and the commit, another worker repeats it.
 */
export async function logFailures(
  pool: Pool,
  log: Logger,
  logFields: (run: { input: Json }) => Json,
): Promise<void> {
  await inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<Failure>(
      `with logged as (
         delete from workflow.failures_to_log where id in (
           select id from workflow.failures_to_log order by id limit 100 for update skip locked)
         returning id, run_id, status, error)
       select l.run_id as "runId", r.machine, r.correlation_id as "correlationId", r.input, l.status, l.error
       from logged l join workflow.runs r on r.id = l.run_id order by l.id`,
    );
    for (const { runId, machine, correlationId, input, status, error } of rows) {
      const fields = { runId, machine, correlationId, ...logFields({ input }), code: error?.code };
      log.error(fields, `a run ended ${status}${error === null ? '' : `: ${error.message}`}`);
    }
  });
}
