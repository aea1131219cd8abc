#!/usr/bin/env node
// Plain JavaScript that an older system Node can run too: it finds a runtime that is new enough for the program, and
// passes arguments, stdio, signals and exit code through.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const OLDEST = 26;

// Node strips no types under node_modules: installed there, the program is its build.
const built = new URL('../dist/dict-vsync.mjs', import.meta.url);
const program = existsSync(built) ? built : new URL('../src/cli/main.ts', import.meta.url);

if (Number.parseInt(process.versions.node, 10) >= OLDEST) {
  await import(program.href);
} else {
  run(packagedRuntime());
}

/** The Node that the npm package `node` brings, where it is installed. */
function packagedRuntime() {
  try {
    return createRequire(import.meta.url).resolve('node/bin/node');
  } catch {
    process.stderr.write(
      `DV_NODE_TOO_OLD: This is Node ${process.versions.node}; dict-vsync needs ${OLDEST} or newer. Install it, or run npm install, which brings one.\n`,
    );
    return process.exit(2);
  }
}

function run(runtime) {
  const child = spawn(runtime, [fileURLToPath(program), ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl-C on a terminal reaches the child by itself, and a second SIGINT would cut its clean end short.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !terminal) child.kill(signal);
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    process.stderr.write(
      `DV_NODE_TOO_OLD: The runtime ${runtime} cannot be started (${error.code}). Run npm install again.\n`,
    );
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    for (const name of signals) process.off(name, forward);
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}
