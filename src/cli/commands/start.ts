import type { Command } from 'commander';
import type { Pool } from 'pg';
import type { KeyType } from '../../dict/entry/key-type.ts';
import { readParticipants } from '../../dict/vsync/vsync-store.ts';
import { inTransaction, listRuns, type RunView, storeMachines } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { machines } from '../../workflows/index.ts';
import { printAnswer, printNote } from '../output/print.ts';
import {
  command,
  type CommonOptions,
  group,
  keyTypesOption,
  participantOption,
  participantsOf,
} from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { follow } from '../follow-runs.ts';
import { approveCommand, waitsForPerson, warnWithoutWorker } from '../run-queries.ts';

interface StartOptions extends CommonOptions {
  participant?: string;
  keyType?: KeyType[];
  wait?: boolean;
}

type Startable = 'verification' | 'reconciliation';

/** `dict-vsync start verification|reconciliation`: starts runs, and follows them with --wait. */
export function start(): Command {
  return group('start', 'Starts a verification or a reconciliation.', [
    'start verification',
    'start verification --participant 12345678 --key-type CPF PHONE --wait',
    'start reconciliation --key-type EVP --json',
  ])
    .addCommand(
      starter(
        'verification',
        'Verifies the VSyncs of each participant, with one run for all its key types.',
        ['start verification', 'start verification --participant 12345678 --key-type CPF PHONE --wait'],
      ),
    )
    .addCommand(
      starter('reconciliation', 'Reconciles key types of each participant, with one run for each key type.', [
        'start reconciliation --key-type EVP',
        'start reconciliation --participant 12345678 --key-type CPF --wait --json',
      ]),
    );
}

function starter(machine: Startable, summary: string, examples: readonly string[]): Command {
  return command(machine, `${summary} If such a run is already open, no new run is started.`, examples)
    .addOption(participantOption())
    .addOption(keyTypesOption())
    .option(
      '--wait',
      'follow the run and its children until they end or wait for a person; exit 0 if in sync, otherwise 1',
    )
    .action(async (options: StartOptions) => {
      await withDatabase({}, async ({ pool, settings }) => {
        // A worker stores the machines too, but perhaps no worker has run yet.
        await storeMachines(pool, machines);
        const participants = participantsOf(options, settings);
        await refuseUnknown(pool, participants, settings.PARTICIPANT_ISPB);
        const ids = await startRuns(pool, machine, participants, options.keyType);
        await warnWithoutWorker(pool);
        if (options.wait === true) return answerTheEnd(pool, ids, options);
        const runs = (await listRuns(pool, { ids, limit: ids.length })).toReversed();
        printAnswer(options, { runs }, () => runs.map(runLine).join('\n'));
      });
    });
}

/**
 * DV_PARTICIPANT_UNKNOWN for a participant that PARTICIPANT_ISPB of this command does not name, as long as no worker has
 * stored which are configured. Afterwards the database knows, and refuses others itself.
 */
async function refuseUnknown(
  pool: Pool,
  participants: readonly string[],
  configured: readonly string[],
): Promise<void> {
  const unknown = participants.find((participant) => !configured.includes(participant));
  if (unknown === undefined || configured.length === 0 || (await readParticipants(pool)).length > 0) return;
  throw new DvError(
    'DV_PARTICIPANT_UNKNOWN',
    `Participant ${unknown} is not configured. PARTICIPANT_ISPB names: ${configured.join(', ')}.`,
  );
}

/** Without participants, those of the last worker's configuration are used. Starts all runs or none. */
async function startRuns(
  pool: Pool,
  machine: Startable,
  participants: readonly string[],
  keyTypes: readonly KeyType[] | undefined,
): Promise<string[]> {
  return inTransaction(pool, async (tx) => {
    const ids: string[] = [];
    for (const participant of participants.length > 0 ? participants : [null]) {
      const { rows } = await tx.query<{ id: string }>(`select id from dict.start_${machine}($1, $2) as id`, [
        participant,
        keyTypes ?? null,
      ]);
      ids.push(...rows.map(({ id }) => id));
    }
    return ids;
  });
}

async function answerTheEnd(pool: Pool, ids: readonly string[], options: StartOptions): Promise<void> {
  const runs = await follow(pool, ids, (run) => printNote(runLine(run)));
  const inSync = runs.every(({ status }) => status === 'COMPLETED');
  const waiting = await Promise.all(
    runs
      .filter(waitsForPerson)
      .map(async (run) => ({ id: run.id, approve: await approveCommand(pool, run.id) })),
  );
  printAnswer(options, { inSync, runs, waiting }, () =>
    [
      inSync ? 'In sync with DICT.' : 'Not in sync with DICT.',
      ...runs.filter(({ errorCode }) => errorCode !== null).map(errorLine),
      ...waiting.map(
        ({ id, approve }) => `Run ${id} waits for a person. To repair what it found:\n  ${approve}`,
      ),
    ].join('\n'),
  );
  if (!inSync) process.exitCode = 1;
}

function runLine(run: RunView): string {
  return `${run.id}  ${run.workflowKey}  ${run.status}  ${run.state}`;
}

function errorLine(run: RunView): string {
  return `Run ${run.id} (${run.workflowKey}) is ${run.status}: ${run.errorCode}: ${run.errorMessage}`;
}
