import fc from 'fast-check';
import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { readKeyEvent, type KeyEvent, type KeyEventType } from '../../../src/dict/key-base/key-event.ts';
import {
  applyKeyEvents,
  forgetKeyEvents,
  readKeyEventRejects,
  refuseConnected,
} from '../../../src/dict/key-base/apply-key-events.ts';
import { connect, oneTable } from '../connected-tables/support.ts';
import {
  asStored,
  keptVSyncs,
  naiveVSyncs,
  onConnection,
  someoneWaits,
} from '../../unit/dict/entry/entries.ts';
import {
  at,
  bytes,
  type CloudEvent,
  ISPB,
  keyEvent,
  keys,
  present,
  received,
  servingDatabase,
  stored,
} from './support.ts';

const [first, second] = keys('EMAIL', 2) as [Entry, Entry];
type Entry = ReturnType<typeof keys>[number];

function read(event: CloudEvent): KeyEvent {
  return readKeyEvent(bytes(event))!;
}

async function apply(pool: Pick<Pool, 'query'>, ...events: CloudEvent[]): Promise<string[]> {
  return applyKeyEvents(pool, events.map(read));
}

const named = (entry: Entry, name: string): Entry => ({ ...entry, name });

async function incomplete(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ key_type: string }>(
    'select key_type from dict.vsyncs where incomplete order by 1',
  );
  return rows.map(({ key_type }) => key_type);
}

test('a key is created, updated, deleted, and created again', async () => {
  const { pool } = await servingDatabase();
  expect(await apply(pool, keyEvent('key.created', first, at(1)))).toEqual(['APPLIED']);
  expect(await stored(pool)).toEqual([asStored(first)]);
  const renamed = named(first, 'Outro Nome');
  expect(await apply(pool, keyEvent('key.updated', renamed, at(2)))).toEqual(['APPLIED']);
  expect(await stored(pool)).toEqual([asStored(renamed)]);
  expect(await apply(pool, keyEvent('key.deleted', renamed, at(3)))).toEqual(['APPLIED']);
  expect(await present(pool)).toEqual([]);
  expect(await keptVSyncs(pool)).toEqual({});
  expect(await apply(pool, keyEvent('key.created', first, at(4)))).toEqual(['APPLIED']);
  expect(await stored(pool)).toEqual([asStored(first)]);
  expect(await keptVSyncs(pool)).toEqual(await naiveVSyncs(pool));
  const { rows } = await pool.query<{ left_why: string }>('select left_why from dict.cid_log order by id');
  expect(rows.map(({ left_why }) => left_why)).toEqual(['key.updated', 'key.deleted']);
});

test('the base accepts an update or a deletion of a key that it does not know', async () => {
  const { pool } = await servingDatabase();
  expect(await apply(pool, keyEvent('key.deleted', first, at(1)))).toEqual(['APPLIED']);
  expect(await apply(pool, keyEvent('key.updated', second, at(1)))).toEqual(['APPLIED']);
  expect(await present(pool)).toEqual([`${second.key} ${second.name}`]);
});

test('a message counts once, whatever it says the second time', async () => {
  const { pool } = await servingDatabase();
  const created = keyEvent('key.created', first, at(1));
  await apply(pool, created);
  await apply(pool, keyEvent('key.updated', named(first, 'Outro Nome'), at(1)));
  expect(await apply(pool, created, { ...keyEvent('key.deleted', first, at(9)), id: created.id })).toEqual([
    'DUPLICATE',
    'DUPLICATE',
  ]);
  // The same id of another source is another message.
  expect(await apply(pool, { ...created, source: '/other core', time: at(0) })).toEqual(['OLDER']);
  expect(await present(pool)).toEqual([`${first.key} Outro Nome`]);
});

test('an older event that comes later is left alone; at the same time the sequence decides, otherwise the order received', async () => {
  const { pool } = await servingDatabase();
  const event = (name: string, second: number, sequence?: string) =>
    keyEvent('key.updated', named(first, name), at(second), sequence === undefined ? {} : { sequence });
  expect(await apply(pool, event('B', 2, '10'), event('A', 1, '11'), event('C', 2, '9'))).toEqual([
    'APPLIED',
    'OLDER',
    'OLDER',
  ]);
  expect(await present(pool)).toEqual([`${first.key} B`]);
  expect(await apply(pool, event('D', 2))).toEqual(['APPLIED']);
  expect(await apply(pool, event('E', 2), keyEvent('key.deleted', first, at(1)))).toEqual([
    'APPLIED',
    'OLDER',
  ]);
  expect(await present(pool)).toEqual([`${first.key} E`]);
  // A deletion is remembered as well.
  await apply(pool, keyEvent('key.deleted', first, at(5)));
  expect(await apply(pool, keyEvent('key.created', first, at(4)))).toEqual(['OLDER']);
  expect(await present(pool)).toEqual([]);
});

test('in whatever order and however often events come, the newest of each key counts', async () => {
  const { pool } = await servingDatabase();
  const steps = fc.array(
    fc.record({
      type: fc.constantFrom<KeyEventType>('key.created', 'key.updated', 'key.deleted'),
      who: fc.constantFrom(first, second),
      name: fc.constantFrom('A', 'B', 'C'),
    }),
    { minLength: 1, maxLength: 8 },
  );
  const prop = fc.asyncProperty(
    steps,
    fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
    fc.boolean(),
    async (plan, dice, apart) => {
      await pool.query('truncate dict.entries, dict.key_events, dict.key_event_order, dict.cid_history');
      const events = plan.map(({ type, who, name }, second) => keyEvent(type, named(who, name), at(second)));
      const rolls = [...events, ...events].map((event) => ({ event, roll: dice.next().value as number }));
      const shuffled = rolls.sort((a, b) => a.roll - b.roll).map(({ event }) => event);
      if (apart) for (const event of shuffled) await apply(pool, event);
      else await apply(pool, ...shuffled);
      const expected = [first, second].flatMap(({ key }) => {
        const last = events.findLast(({ data }) => data['key'] === key);
        return last === undefined || last.type === 'key.deleted'
          ? []
          : [`${key} ${String(last.data['name'])}`];
      });
      expect(await present(pool)).toEqual(expected.sort());
      expect(await keptVSyncs(pool)).toEqual(await naiveVSyncs(pool));
    },
  );
  await fc.assert(prop, { numRuns: 20 });
});

test('two workers with events of one key: the second waits, and the newest counts', async () => {
  const { pool } = await servingDatabase();
  await onConnection(pool, async (one) => {
    await one.query('begin');
    await apply(one, keyEvent('key.updated', named(first, 'Newer'), at(2)));
    const other = apply(pool, keyEvent('key.updated', named(first, 'Older'), at(1)));
    await expect.poll(() => someoneWaits(pool)).toBe(true);
    await one.query('commit');
    expect(await other).toEqual(['OLDER']);
  });
  expect(await present(pool)).toEqual([`${first.key} Newer`]);
});

test('a change by an event is a customer’s: unlike an import, it is in flight also shortly before a snapshot', async () => {
  const { pool } = await servingDatabase();
  await apply(pool, keyEvent('key.created', first, at(1)));
  const { rows } = await pool.query<{ in_flight: boolean }>(
    `select dict.in_flight(e.changed_xid, e.since, e.changed_why, r) as in_flight from dict.entries e, (
       select (jsonb_populate_record(null::dict.rounds, jsonb_build_object('snapshot', pg_current_snapshot()::text,
         'margin_starts_at', workflow.now() - interval '30 seconds'))).*) r`,
  );
  expect(rows).toEqual([{ in_flight: true }]);
});

describe('an event that cannot be used', () => {
  const unusable = (entry: Entry, time: string) =>
    keyEvent('key.updated', entry, time, { data: { ...entry, requestId: undefined } });

  test('it is recorded with its reason and changes nothing; its VSync is incomplete until a newer event', async () => {
    const { pool } = await servingDatabase();
    await apply(pool, keyEvent('key.created', first, at(1)));
    expect(await apply(pool, unusable(first, at(2)))).toEqual(['REFUSED']);
    expect(await present(pool)).toEqual([`${first.key} ${first.name}`]);
    expect(await received(pool)).toEqual(['key.created APPLIED', 'key.updated REFUSED REQUEST_ID_MISSING']);
    expect(await incomplete(pool)).toEqual(['EMAIL']);
    expect(await readKeyEventRejects(pool, 10)).toMatchObject([
      { participant: ISPB, keyType: 'EMAIL', key: first.key, reason: 'REQUEST_ID_MISSING' },
    ]);
    // It does not block older events, and those do not make the VSync complete.
    await apply(pool, keyEvent('key.updated', named(first, 'A'), '2026-01-02T00:00:01.5Z'));
    expect(await incomplete(pool)).toEqual(['EMAIL']);
    await apply(pool, keyEvent('key.updated', named(first, 'B'), at(3)));
    expect(await incomplete(pool)).toEqual([]);
    expect(await readKeyEventRejects(pool, 10)).toEqual([]);
  });

  test('it no longer matters once DICT has said OK', async () => {
    const { pool } = await servingDatabase();
    await apply(
      pool,
      unusable(first, at(2)),
      keyEvent('key.created', first, at(1), { data: { participant: 'x' } }),
    );
    expect(await incomplete(pool)).toEqual(['CNPJ', 'CPF', 'EMAIL', 'EVP', 'PHONE']);
    await pool.query(
      `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, result)
       select gen_random_uuid(), 'VERIFICATION', $1, t, '', 0, workflow.now() + interval '1 second', 'OK'
       from unnest(array['EMAIL', 'CPF']) t`,
      [ISPB],
    );
    expect(await incomplete(pool)).toEqual(['CNPJ', 'EVP', 'PHONE']);
  });

  test('another participant’s event, and one from the future, are refused by what the database knows', async () => {
    const { pool } = await servingDatabase();
    const foreign = { ...first, participant: '87654321' };
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    expect(
      await apply(pool, keyEvent('key.created', foreign, at(1)), keyEvent('key.created', first, soon)),
    ).toEqual(['REFUSED', 'REFUSED']);
    const rejects = await readKeyEventRejects(pool, 10);
    expect(rejects.map(({ reason }) => reason).sort()).toEqual(['PARTICIPANT_NOT_SERVED', 'TIME_AHEAD']);
    expect(await incomplete(pool)).toEqual(['EMAIL']);
    expect(await apply(pool, keyEvent('key.created', first, at(1)))).toEqual(['APPLIED']);
  });
});

test('where the participant’s own tables feed the base, events are refused, at start and one by one', async () => {
  const { pool } = await servingDatabase();
  await refuseConnected(pool, [ISPB]);
  await connect(pool, oneTable);
  await expect(refuseConnected(pool, ['87654321', ISPB])).rejects.toMatchObject({
    code: 'DV_KEY_EVENTS_CONNECTED',
  });
  expect(await apply(pool, keyEvent('key.created', first, at(1)))).toEqual(['REFUSED']);
  expect(await received(pool)).toEqual(['key.created REFUSED PARTICIPANT_CONNECTED']);
});

test('retention removes the records of received events, but not the newest of a key', async () => {
  const { pool } = await servingDatabase();
  const events = [1, 2, 3].map((n) => keyEvent('key.updated', named(first, `N${'x'.repeat(n)}`), at(n)));
  await apply(pool, ...events);
  expect(await forgetKeyEvents(pool, 30)).toBe(0);
  await pool.query(`select workflow.advance_clock('31 days')`);
  await apply(pool, keyEvent('key.created', second, at(1)));
  expect(await forgetKeyEvents(pool, 30, 2)).toBe(3);
  expect(await received(pool)).toEqual(['key.created APPLIED']);
  // A reconciliation has changed the key since: reading the topic again from its beginning does not change it back.
  await pool.query(`update dict.entries set name = 'As DICT has it' where key = $1`, [first.key]);
  expect(await apply(pool, ...events)).toEqual(['OLDER', 'OLDER', 'OLDER']);
  expect(await present(pool)).toContain(`${first.key} As DICT has it`);
});
