import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run check` runs these: they need no database.
    exclude: ['test/contract/docs/**'],
    globalSetup: ['test/support/global-setup.ts'],
    // Two cores: more workers only make the databases wait for each other.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Graphile Worker does not await completing a job. When a test cuts its connections at that moment, on purpose, nobody
    // handles the rejection. The worker command does (src/cli/commands/worker.ts).
    onUnhandledError: (error) => !(error.stack ?? '').includes('graphile-worker/dist/sql/completeJobs'),
    // On a loaded machine a second is short. A condition that never becomes true still fails.
    expect: { poll: { timeout: 15_000 } },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'tasks/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { lines: 85 },
    },
  },
});
