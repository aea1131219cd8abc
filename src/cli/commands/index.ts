import type { Command } from 'commander';
import { approve } from './approve.ts';
import { cancel } from './cancel.ts';
import { cid } from './cid.ts';
import { connect } from './connect.ts';
import { demo } from './demo.ts';
import { describe } from './describe.ts';
import { health } from './health.ts';
import { held } from './held.ts';
import { importKeys } from './import.ts';
import { keyEvents } from './key-events.ts';
import { list } from './list.ts';
import { listen } from './listen.ts';
import { migrate } from './migrate.ts';
import { outbox } from './outbox.ts';
import { reject } from './reject.ts';
import { release } from './release.ts';
import { removeUnsure } from './remove-unsure.ts';
import { report } from './report.ts';
import { retention } from './retention.ts';
import { retry } from './retry.ts';
import { simulator } from './simulator.ts';
import { start } from './start.ts';
import { undo } from './undo.ts';
import { unsure } from './unsure.ts';
import { vsync } from './vsync.ts';
import { worker } from './worker.ts';

/** Every command, in the order in which the help shows them. */
export function commands(): Command[] {
  return [
    demo(),
    worker(),
    migrate(),
    retention(),
    start(),
    list(),
    describe(),
    report(),
    approve(),
    reject(),
    cancel(),
    retry(),
    undo(),
    held(),
    release(),
    unsure(),
    removeUnsure(),
    outbox(),
    cid(),
    vsync(),
    importKeys(),
    connect(),
    keyEvents(),
    listen(),
    simulator(),
    health(),
  ];
}
