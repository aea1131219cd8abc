import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AppliedChange } from '../../../src/dict/repair/repair-policy.ts';
import { inTransaction } from '../../../src/engine/index.ts';
import { postgresTransport, publishChanges, readPublished, relayOutbox } from '../../../src/notify/index.ts';
import { BODY_BYTES, PAGE_CHANGES, toPages } from '../../../src/notify/outbox/paging.ts';
import { useTestDatabase } from '../../support/database.ts';
import { expectValidEvent } from '../../support/schemas.ts';
import { ISPB, emptyOutbox, eventOf, keepingTransport, message } from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

function changeOf(n: number, name: string): AppliedChange {
  const { content } = message(n);
  const { changes } = content as { changes: AppliedChange[] };
  return { ...changes[0]!, after: { ...(changes[0]!.after as object), name } };
}

test('pages keep everything in order, within the count and the bytes, and none has room for the next one too', () => {
  const items = fc.array(
    fc.record({ name: fc.string({ unit: 'grapheme', maxLength: 20 }), times: fc.constantFrom(1, 100, 5000) }),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(items, (given) => {
      const all = given.map(({ name, times }) => name.repeat(times));
      const pages = toPages(all);
      expect(pages.flat()).toEqual(all);
      const most = BODY_BYTES - 4096;
      const size = (page: string[]) =>
        page.reduce((sum, item) => sum + Buffer.byteLength(JSON.stringify(item)) + 1, 0);
      for (const [at, page] of pages.entries()) {
        expect(page.length).toBeGreaterThan(0);
        expect(page.length).toBeLessThanOrEqual(PAGE_CHANGES);
        if (page.length > 1) expect(size(page)).toBeLessThanOrEqual(most);
        const next = pages[at + 1];
        if (next !== undefined && page.length < PAGE_CHANGES) {
          expect(size([...page, next[0]!])).toBeGreaterThan(most);
        }
      }
    }),
  );
});

describe('the pages of a run', () => {
  /** Publishes chunks of changes, each in its transaction, as a repair does. */
  async function publishChunks(runId: string, chunks: AppliedChange[][]): Promise<void> {
    await database.pool.query(
      `insert into dict.reconciliations (run_id, participant, key_type, started_at, vsync_before, entries_before)
       values ($1, $2, 'EMAIL', now(), repeat('0', 64), 0)`,
      [runId, ISPB],
    );
    for (const chunk of chunks) {
      await inTransaction(database.pool, async (tx) =>
        publishChanges(tx, { runId, participant: ISPB, keyType: 'EMAIL' }, chunk),
      );
    }
  }

  test('are counted from chunk to chunk, and the run knows how many there were', async () => {
    const runId = randomUUID();
    const chunk = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) => changeOf(from + n, 'Ana'));
    await publishChunks(runId, [chunk(0, 200), [], chunk(200, 50), chunk(250, 1)]);
    const { transport, got } = keepingTransport();
    await relayOutbox(database.pool, transport);
    const events = got.map((sent) => eventOf(sent).data as { page: number; changes: { key: string }[] });
    expect(events.map(({ page, changes }) => [page, changes.length])).toEqual([
      [1, 100],
      [2, 100],
      [3, 50],
      [4, 1],
    ]);
    expect(events.flatMap(({ changes }) => changes.map(({ key }) => key))).toEqual(
      Array.from({ length: 251 }, (_, n) => `key ${n}`),
    );
    const published = await inTransaction(database.pool, async (tx) => readPublished(tx, runId));
    expect(published).toEqual({ pageCount: 4, changeCount: 251 });
  });

  test('are within 256 KB each, whatever is in them', async () => {
    const long = 'João "\\\u0001 '.repeat(1000);
    await publishChunks(randomUUID(), [Array.from({ length: 90 }, (_, n) => changeOf(n, long))]);
    const { transport, got } = keepingTransport();
    await relayOutbox(database.pool, transport);
    expect(got.length).toBeGreaterThan(3);
    for (const { body } of got) {
      expect(Buffer.byteLength(body)).toBeLessThanOrEqual(BODY_BYTES);
      expectValidEvent(JSON.parse(body));
    }
    expect(got.flatMap((sent) => (eventOf(sent).data as { changes: [] }).changes)).toHaveLength(90);
  });

  test('by reference contain no key and no entry, but the CIDs to ask by', async () => {
    const runId = randomUUID();
    await publishChunks(runId, [[changeOf(7, 'Ana Souza')]]);
    await relayOutbox(database.pool, postgresTransport(), { content: 'references' });
    const { rows } = await database.pool.query<{ payload: { data: unknown } }>(
      'select payload from dict.notifications',
    );
    expect(rows).toHaveLength(1);
    expectValidEvent(rows[0]!.payload);
    expect(rows[0]!.payload).toMatchObject({ personaldata: false });
    expect(rows[0]!.payload.data).toEqual({
      runId,
      page: 1,
      changes: [{ decision: 'ADDED', cidBefore: null, cidAfter: '7'.padStart(64, '0') }],
    });
  });
});
