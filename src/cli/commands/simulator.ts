import type { Command } from 'commander';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { stringify } from 'csv-stringify';
import { readSettings } from '../../settings.ts';
import { ENTRY_CSV_FORMAT } from '../../dict/key-base/csv.ts';
import type { Entry } from '../../dict/entry/entry.ts';
import { KEY_TYPES } from '../../dict/entry/key-type.ts';
import { DvError } from '../../errors/dv-error.ts';
import { damage, generateKeyBase, serveBridge, SimulatedDict } from '../../simulator/index.ts';
import { printAnswer, printNote } from '../output/print.ts';
import {
  asUsage,
  command,
  type CommonOptions,
  participantOption,
  participantsOf,
  wholeNumber,
} from '../command-options.ts';
import { formatCount } from '../output/format.ts';
import { progress } from '../output/progress.ts';

interface SimulatorOptions extends CommonOptions {
  port: number;
  host: string;
  keys: number;
  seed: number;
  divergent: number;
  speed: number;
  participant?: string;
  anyParticipant?: boolean;
  export?: string;
}

/** Used if no participant is configured. */
const EXAMPLE_PARTICIPANT = '12345678';

/** `dict-vsync simulator`: runs a simulated DICT behind a Bridge. */
export function simulator(): Command {
  return command(
    'simulator',
    'Runs a simulated DICT behind a gRPC Bridge, with generated keys, until SIGTERM or Ctrl-C.',
    [
      'simulator --keys 10000 --seed 7',
      'simulator --divergent 20 --export local.csv   # then: dict-vsync import local.csv',
      'simulator --port 50051 --host 0.0.0.0 --speed 20',
    ],
  )
    .option('--port <N>', 'port to listen on; 0: any free port', wholeNumber('--port', 0, 65_535), 50_051)
    .option('--host <H>', 'address to listen on', '127.0.0.1')
    .option('--keys <N>', 'number of keys of each type', wholeNumber('--keys', 0, 1_000_000), 1000)
    .option(
      '--seed <N>',
      'seed for generating the keys and the differences',
      wholeNumber('--seed', 0, 2 ** 31),
      1,
    )
    .option(
      '--divergent <N>',
      'how many keys of each type differ in the exported local base',
      wholeNumber('--divergent', 0, 1_000_000),
      0,
    )
    .option('--speed <X>', 'make files and refill token buckets this many times faster', speedOf, 1)
    .option('--export <FILE.csv>', 'write the matching local base to this file, for import')
    .addOption(participantOption())
    .option(
      '--any-participant',
      'answer for every ISPB (default: participants without generated keys get 403 Forbidden)',
    )
    .action(async (options: SimulatorOptions) => {
      const configured = participantsOf(options, readSettings(process.env));
      const participants = configured.length > 0 ? configured : [EXAMPLE_PARTICIPANT];
      const { host, port, speed, seed } = options;
      const served = options.anyParticipant === true ? 'any' : participants;
      const dict = new SimulatedDict({ speed, seed, participants: served });
      const local: Entry[][] = [];
      const shown = progress('generating keys', participants.length * KEY_TYPES.length * options.keys);
      let made = 0;
      for (const participant of participants) {
        const base = generate(participant, options, () => shown.update(++made));
        dict.directory.seed(base.entries);
        local.push(base.local);
      }
      shown.end();
      if (options.export !== undefined) await exportCsv(options.export, local);

      // Only now, because callers must not see a DICT that is only partly filled.
      const face = await serveBridge(dict, { host, port });
      const { address } = face;
      const stopRequested = signalled();
      printAnswer(
        options,
        { address, participants, keysPerType: options.keys, divergentPerType: options.divergent },
        () =>
          `DICT simulator at ${address}, with ${formatCount(options.keys)} keys of each type for ${participants.join(', ')}.`,
      );
      printNote(`Set BRIDGE_ADDRESS=${address} for the worker. Stop the simulator with SIGTERM or Ctrl-C.`);
      await stopRequested;
      await face.stop();
    });
}

function speedOf(value: string): number {
  const speed = Number(value);
  if (speed > 0 && speed <= 1_000_000) return speed;
  throw new DvError('DV_USAGE', '--speed takes a number greater than 0 and at most 1000000.');
}

/** A participant's entries at DICT, and a local base that differs from them as the options say. */
function generate(
  participant: string,
  { keys, seed, divergent }: SimulatorOptions,
  onKey: () => void,
): { entries: Entry[]; local: Entry[] } {
  const entries: Entry[] = [];
  for (const entry of generateKeyBase({ participant, keyTypes: KEY_TYPES, keysPerType: keys, seed })) {
    entries.push(entry);
    onKey();
  }
  if (divergent === 0) return { entries, local: entries };
  return { entries, local: asUsage(damage)(entries, { perType: divergent, seed }).local };
}

async function exportCsv(path: string, bases: readonly Entry[][]): Promise<void> {
  try {
    await pipeline(Readable.from(bases.flat()), stringify(ENTRY_CSV_FORMAT), createWriteStream(path));
  } catch (cause) {
    throw new DvError(
      'DV_FILE_UNWRITABLE',
      'The file to export to cannot be written. Check its path and its permissions.',
      { cause },
    );
  }
}

/** Resolves at SIGTERM or SIGINT. */
async function signalled(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once('SIGTERM', resolve).once('SIGINT', resolve);
  await promise;
  process.off('SIGTERM', resolve).off('SIGINT', resolve);
}
