import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import {
  lastConfirmed,
  readLocalReplay,
  type ConfirmedSync,
} from '../../../../src/dict/event-log/replay-source.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, forgetAll, insert, keptVSyncs, keys, onConnection, type Db } from '../entry/entries.ts';

const database = useTestDatabase();
const KEY_TYPE = 'EMAIL';
const base = keys(KEY_TYPE, 4);
const [first, second] = base as [Entry, Entry];
const hex = (entry: Entry) => computeCid(entry).toString('hex');
const renamed = (entry: Entry): Entry => ({ ...entry, name: 'Outro Nome' });

beforeEach(async () => {
  await forgetAll(database.pool);
  await database.pool.query('delete from dict.sync_verifications');
  await insert(database.pool, base);
});

/** DICT answers OK (or another result) to the present VSync. */
async function answered(result: string | null = 'OK', keyType = KEY_TYPE, hoursAgo = 0): Promise<void> {
  await database.pool.query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     select $1, 'VERIFICATION', $2, $3, vsync, entries, workflow.now() - $5 * interval '1 hour', workflow.now(), $4
     from dict.vsync($2, $3)`,
    [randomUUID(), ISPB, keyType, result, hoursAgo],
  );
}

async function confirmed(): Promise<ConfirmedSync> {
  await answered();
  const sync = await lastConfirmed(database.pool, ISPB, KEY_TYPE);
  if (sync === undefined) throw new Error('it was just written');
  return sync;
}

/** What changed since: CID → "there then, there now". */
async function changes(since: ConfirmedSync): Promise<Record<string, string>> {
  const { changes: found } = await readLocalReplay(database.pool, ISPB, KEY_TYPE, since, []);
  return Object.fromEntries(
    found.map((change) => [
      change.cid.toString('hex'),
      `${change.then ? 'there' : 'absent'}, ${change.now ? 'there' : 'absent'}`,
    ]),
  );
}

const rename = async (db: Db, entry: Entry, name: string) =>
  void (await db.query('update dict.entries set name = $2 where key = $1', [entry.key, name]));

describe('the last confirmed VSync', () => {
  it('it is the newest OK, whatever was answered or left unanswered since', async () => {
    expect(await lastConfirmed(database.pool, ISPB, KEY_TYPE)).toBeUndefined();
    await answered('NOK');
    expect(await lastConfirmed(database.pool, ISPB, KEY_TYPE)).toBeUndefined();
    await answered('OK', KEY_TYPE, 30);
    await answered('OK', KEY_TYPE, 7);
    await answered('OK', 'CPF');
    await answered('NOK');
    await answered('ERROR');
    await answered(null);
    const sync = await lastConfirmed(database.pool, ISPB, KEY_TYPE);
    expect(sync?.hoursAgo).toBeCloseTo(7, 1);
    expect(Date.now() - sync!.askedAt.getTime()).toBeGreaterThan(6.9 * 3_600_000);
  });
});

describe('what changed in the base since the confirmed snapshot', () => {
  it('it has nothing when nothing changed', async () => {
    expect(await changes(await confirmed())).toEqual({});
  });

  it('it has what came, what was removed and what was replaced', async () => {
    const since = await confirmed();
    const [fresh] = keys(KEY_TYPE, 1, 2) as [Entry];
    await insert(database.pool, [fresh]);
    await rename(database.pool, first, 'Outro Nome');
    await database.pool.query('delete from dict.entries where key = $1', [second.key]);
    expect(await changes(since)).toEqual({
      [hex(fresh)]: 'absent, there',
      [hex(first)]: 'there, absent',
      [hex(renamed(first))]: 'absent, there',
      [hex(second)]: 'there, absent',
    });
  });

  it('A → B → A: A was there and is there, B neither', async () => {
    const since = await confirmed();
    await rename(database.pool, first, 'Outro Nome');
    await rename(database.pool, first, first.name);
    expect(await changes(since)).toEqual({
      [hex(first)]: 'there, there',
      [hex(renamed(first))]: 'absent, absent',
    });
  });

  it('B → A → B with A from before the snapshot: only what the snapshot saw was there', async () => {
    await rename(database.pool, first, 'Outro Nome');
    const since = await confirmed();
    await rename(database.pool, first, first.name);
    await rename(database.pool, first, 'Outro Nome');
    expect(await changes(since)).toEqual({
      [hex(first)]: 'absent, absent',
      [hex(renamed(first))]: 'there, there',
    });
  });

  it('it has a key that was softly removed, and one that came back', async () => {
    await database.pool.query('update dict.entries set removed_at = now() where key = $1', [second.key]);
    const since = await confirmed();
    await database.pool.query('update dict.entries set removed_at = now() where key = $1', [first.key]);
    await database.pool.query('update dict.entries set removed_at = null where key = $1', [second.key]);
    expect(await changes(since)).toEqual({ [hex(first)]: 'there, absent', [hex(second)]: 'absent, there' });
  });

  it('it has a key that was added and removed again since', async () => {
    const since = await confirmed();
    const [fresh] = keys(KEY_TYPE, 1, 2) as [Entry];
    await insert(database.pool, [fresh]);
    await database.pool.query('delete from dict.entries where key = $1', [fresh.key]);
    expect(await changes(since)).toEqual({ [hex(fresh)]: 'absent, absent' });
  });

  it('after a change outside the CID: the CID was there and is there, even if it leaves later', async () => {
    const since = await confirmed();
    await database.pool.query('update dict.entries set opening_date = now()');
    const touched = Object.fromEntries(base.map((entry) => [hex(entry), 'there, there']));
    expect(await changes(since)).toEqual(touched);
    await rename(database.pool, first, 'Outro Nome');
    expect(await changes(since)).toEqual({
      ...touched,
      [hex(first)]: 'there, absent',
      [hex(renamed(first))]: 'absent, there',
    });
  });

  it('it has a transaction in progress at the snapshot, whatever the clock said when it wrote', async () => {
    const [fresh] = keys(KEY_TYPE, 1, 2) as [Entry];
    await onConnection(database.pool, async (writer) => {
      await writer.query('begin');
      await insert(writer, [fresh]);
      await rename(writer, first, 'Outro Nome');
      const since = await confirmed();
      expect(await changes(since)).toEqual({});
      await writer.query('commit');
      expect(await changes(since)).toEqual({
        [hex(fresh)]: 'absent, there',
        [hex(first)]: 'there, absent',
        [hex(renamed(first))]: 'absent, there',
      });
    });
  });

  it('it has nothing of a transaction that rolls back', async () => {
    const since = await confirmed();
    await onConnection(database.pool, async (writer) => {
      await writer.query('begin');
      await rename(writer, first, 'Outro Nome');
      await writer.query('rollback');
    });
    expect(await changes(since)).toEqual({});
  });

  it('it has nothing of other key types and participants', async () => {
    const since = await confirmed();
    await insert(database.pool, [...keys('CPF', 2), ...keys(KEY_TYPE, 2, 3, '00000001')]);
    expect(await changes(since)).toEqual({});
  });

  it('it comes with the VSync and the CIDs asked about, read in one snapshot', async () => {
    const since = await confirmed();
    await database.pool.query('update dict.entries set removed_at = now() where key = $1', [second.key]);
    const asked = [first, second, renamed(first)].map(computeCid);
    const { held, vsync } = await readLocalReplay(database.pool, ISPB, KEY_TYPE, since, asked);
    expect([...held]).toEqual([hex(first)]);
    expect(await keptVSyncs(database.pool)).toEqual({ [`${ISPB} ${KEY_TYPE}`]: `3 ${vsync}` });
  });
});
