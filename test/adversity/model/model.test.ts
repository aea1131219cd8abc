import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { onTestFinished, test, vi } from 'vitest';
import { connectBridge } from '../../../src/bridge/index.ts';
import { seedRateLimits } from '../../../src/dict/rate-limits/rate-limits.ts';
import { storeMachines } from '../../../src/engine/store-machines.ts';
import { startSimulator } from '../../../src/simulator/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { createTestDatabase } from '../../support/database.ts';
import { drive, EPOCH, forgetEverything, setClock } from './database.ts';
import { Model, WORKER } from './model.ts';
import { ISPB, World } from './world.ts';

// A thread takes a tenth of a second to start, and its own tests show that it gives the same answers.
vi.mock('../../../src/dict/compare/scan-thread.ts', async () => ({
  scanCidFileInThread: (await import('../../../src/dict/compare/scan.ts')).scanCidFile,
}));

/** Worlds that run simultaneously: one waits for the database while the other works. */
const LANES = 3;

const first = Number(process.env['MODEL_SEED'] ?? 1);
const seeds = Number(process.env['MODEL_SEEDS'] ?? (process.env['MODEL_SEED'] === undefined ? 200 : 1));

async function play(pool: Pool, seed: number): Promise<void> {
  await forgetEverything(pool);
  await pool.query(`select workflow.heartbeat($1, '{}')`, [WORKER]);
  const time = { now: EPOCH };
  await setClock(pool, 0);
  const limits = seed % 4 === 0;
  const { dict, address, stop } = await startSimulator({
    clock: () => time.now,
    seed,
    participants: [ISPB],
    limits: limits ? 'real' : 'off',
    fileGenerationMs: (seed % 3) * 7000,
  });
  const bridge = connectBridge({ address });
  const tempDir = await mkdtemp(join(tmpdir(), 'dict-vsync-model-'));
  const world = new World(pool, dict, time, seed);
  try {
    if (limits) await seedRateLimits(pool, bridge, ISPB, { correlationId: 'model' });
    await new Model(pool, world, bridge, { tempDir, limits }).play();
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${what}\n${world.witness.story.slice(-60).join('\n')}\nSeed ${seed}. Again: MODEL_SEED=${seed} npx vitest run test/adversity/model`,
      { cause: error },
    );
  } finally {
    bridge.close();
    await stop();
    await rm(tempDir, { recursive: true, force: true });
  }
}

/** Plays seeds until all have been played, in a database of its own. */
async function lane(left: Iterator<number>, failed: AbortController): Promise<void> {
  const database = await createTestDatabase();
  try {
    await drive(database.pool);
    await storeMachines(database.pool, machines);
    for (let { value, done } = left.next(); done !== true; { value, done } = left.next()) {
      if (failed.signal.aborted) return;
      await play(database.pool, value);
    }
  } catch (error) {
    failed.abort();
    throw error;
  } finally {
    await database.drop();
  }
}

test(
  `whatever happens in whatever order, both sides end equal and no change of a customer is undone (${seeds} seeds)`,
  { timeout: seeds * 5000 + 60_000 },
  async () => {
    // In this process only durations matter; time passes in the worlds.
    vi.useFakeTimers({ toFake: ['Date'], now: EPOCH });
    onTestFinished(() => void vi.useRealTimers());
    const left = Array.from({ length: seeds }, (_, n) => first + n).values();
    const failed = new AbortController();
    const lanes = await Promise.allSettled(Array.from({ length: LANES }, async () => lane(left, failed)));
    for (const result of lanes) if (result.status === 'rejected') throw result.reason;
  },
);
