import { defineConfig } from 'vitest/config';

/** `npm run test:chaos`: breaks everything that can break, one after the other. CHAOS_ROUNDS=20 does it 20 times. */
export default defineConfig({
  test: {
    include: ['test/adversity/chaos/**/*.chaos.ts'],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
    onUnhandledError: (error) => !(error.stack ?? '').includes('graphile-worker/dist/sql/completeJobs'),
  },
});
