#!/usr/bin/env node
// Plain JavaScript, because an older Node of the system may run it. It finds a Node that is new enough for the program,
// and passes on arguments, stdio, signals and the exit code.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const OLDEST = 26;

// Node does not strip types under node_modules. If installed there, the built bundle is used.
const built = new URL('../dist/dict-vsync.mjs', import.meta.url);
const program = existsSync(built) ? built : new URL('../src/cli/main.ts', import.meta.url);

if (Number.parseInt(process.versions.node, 10) >= OLDEST) {
  await import(program.href);
} else {
  run(packagedRuntime());
}

/** The Node in the npm package `node`, if it is installed. */
function packagedRuntime() {
  try {
    return createRequire(import.meta.url).resolve('node/bin/node');
  } catch {
    process.stderr.write(
      `DV_NODE_TOO_OLD: This is Node ${process.versions.node}, but dict-vsync needs Node ${OLDEST} or newer. Install it, or run npm install, which includes it.\n`,
    );
    return process.exit(2);
  }
}

function run(runtime) {
  const child = spawn(runtime, [fileURLToPath(program), ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl-C on a terminal also reaches the child directly. A second SIGINT would end it before it has stopped cleanly.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !terminal) child.kill(signal);
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    process.stderr.write(
      `DV_NODE_TOO_OLD: The Node in ${runtime} cannot be started (${error.code}). Run npm install again.\n`,
    );
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    for (const name of signals) process.off(name, forward);
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}
