import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { isIncomplete, loadSource } from '../../../src/dict/key-base/connected-tables.ts';
import { readRemovalEvidence } from '../../../src/dict/repair/removal-evidence.ts';
import { writeToSource } from '../../../src/dict/repair/connected-repair.ts';
import { connectBridge } from '../../../src/bridge/index.ts';
import { useTestDatabase } from '../../support/database.ts';

/** A database with impossible answers: a missing answer must stop the caller, and never count as "nothing". */

const database = useTestDatabase();
const ISPB = '12345678';
const impossible = { code: 'DV_UNEXPECTED', class: 'not_retryable' };

const write = () =>
  writeToSource(
    database.pool,
    'bank',
    { participant: ISPB, keyType: 'CPF' },
    [{ key: 'k', entry: null }],
    null,
  );

test('a repair of connected tables does not take a missing row for "no key was missed"', async () => {
  await database.pool.query(`
    drop function dict.apply_to_source;
    create function dict.apply_to_source(text, text, text, text, jsonb)
      returns table (missed bigint, disagreeing bigint, reason text)
      language sql as 'select 0::bigint, 0::bigint, null::text where false'`);
  await expect(write()).rejects.toMatchObject(impossible);
});

test('a repair of connected tables does not take a null count for "no key was missed"', async () => {
  await database.pool.query(`
    drop function dict.apply_to_source;
    create function dict.apply_to_source(text, text, text, text, jsonb,
      out missed bigint, out disagreeing bigint, out reason text)
      language plpgsql as 'begin end'`);
  await expect(write()).rejects.toMatchObject(impossible);
});

test('a source whose load answers nothing was not loaded', async () => {
  await database.pool.query(`
    drop function dict.load_source;
    create function dict.load_source(text) returns setof bigint language sql as 'select 1::bigint where false'`);
  await expect(loadSource(database.pool, 'bank')).rejects.toMatchObject(impossible);
});

test('a key base about which nothing is answered is not complete', async () => {
  await database.pool.query(`
    alter function dict.incomplete(text, text) rename to incomplete_before;
    create function dict.incomplete(text, text) returns setof boolean language sql as 'select true where false'`);
  await expect(isIncomplete(database.pool, ISPB, 'CPF')).rejects.toMatchObject(impossible);
});

test('for a round that does not exist, what DICT has added since is not asked for', async () => {
  const bridge = connectBridge({ address: '127.0.0.1:1' });
  const round = { runId: randomUUID(), round: 1, participant: ISPB, keyType: 'CPF' as const };
  try {
    const call = { correlationId: 'c', signal: AbortSignal.timeout(5000) };
    const patience = { attempt: 1, enteredAt: new Date(), logUnavailable: false, proofFrom: undefined };
    await expect(readRemovalEvidence(database.pool, bridge, round, patience, call)).rejects.toMatchObject(
      impossible,
    );
  } finally {
    bridge.close();
  }
});
