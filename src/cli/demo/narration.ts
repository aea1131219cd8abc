import type { Pool } from 'pg';
import { printNote } from '../output/print.ts';
import type { DemoOptions } from './demo-report.ts';

/** States that are worth a line when a run enters them. Other states are not shown. */
const STEPS: Record<string, string> = {
  verify: 'sends the VSyncs to DICT',
  request_file: 'requests the file with all CIDs from DICT',
  look_up: 'asks DICT about each CID that differs',
  compare: 'compares the file with the key base',
  wait_approval: 'waits for a person to approve the repair',
  accept_approval: 'approved',
  apply: 'repairs the key base with entries from DICT',
  confirm: 'sends the new VSync to DICT',
};

/** Prints for the person at the terminal what the demo does. Prints nothing with --json. */
export function narrator(options: DemoOptions): {
  ready(database: string): void;
  seeded(): void;
  follow(pool: Pool): Promise<void>;
  line(text: string): void;
} {
  const began = performance.now();
  let lastSeen = '0';
  const shown = new Map<string, string>();
  const say = (line: string) => {
    if (options.json !== true)
      printNote(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  };
  const count = (n: number) => n.toLocaleString('en-US');
  return {
    line: say,
    ready: (database) => say(`${database} is ready and migrated`),
    seeded: () =>
      say(
        `key base and DICT simulator have ${count(options.keys)} keys of each type; ${count(options.divergent)} of each type differ (seed ${options.seed})`,
      ),
    follow: async (pool) => {
      const { rows } = await pool.query<{
        id: string;
        runId: string;
        state: string;
        machine: string;
        keyType: string | null;
        status: string | null;
      }>(
        `select h.id, h.run_id as "runId", h.state, r.machine, r.input ->> 'keyType' as "keyType",
           case when h.event = 'CLOSED' then h.outcome end as status
         from workflow.history h join workflow.runs r on r.id = h.run_id
         where h.id > $1 and r.machine <> 'verification_schedule'
           and (h.event in ('CLOSED', 'WAITING') or (h.event = 'STARTED' and h.attempt = 1)) order by h.id`,
        [lastSeen],
      );
      for (const { id, runId, state, machine, keyType, status } of rows) {
        lastSeen = id;
        const what = status ?? STEPS[state];
        // A loop state is entered once for each chunk, but shown only once.
        if (what === undefined || shown.get(runId) === what) continue;
        shown.set(runId, what);
        say(`${keyType === null ? machine : `${machine} ${keyType}`}: ${what}`);
      }
    },
  };
}
