import { defineConfig } from 'vitest/config';

/** `npm run check:texts`: documents, SQL files and the texts in the sources. It needs no database. */
export default defineConfig({ test: { include: ['test/contract/docs/**/*.test.ts'], reporters: ['dot'] } });
