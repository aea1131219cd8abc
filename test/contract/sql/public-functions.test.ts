import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ALL_KEY_TYPES, coded, ISPB, useSql } from './support.ts';

const { database, query, start, keys, jobs } = useSql();

const configure = async (...participants: string[]): Promise<unknown> =>
  query('insert into dict.participants (participant) select unnest($1::text[])', [participants]);

describe('dict.start_verification', () => {
  test('one participant and all key types make one run with its job and input', async () => {
    const [id] = await start('verification', ISPB);
    expect(await query('select id, machine, status, started_by, input from workflow.runs_view')).toEqual([
      {
        id,
        machine: 'verification',
        status: 'PENDING',
        started_by: expect.any(String) as string,
        input: { participant: ISPB, keyTypes: ALL_KEY_TYPES.split(',') },
      },
    ]);
    expect(await keys()).toEqual([`verification:${ISPB}:${ALL_KEY_TYPES}`]);
    expect(await jobs()).toBe(1);
  });

  test('starting again returns the same run while it is open, and a new one once it is closed', async () => {
    const first = await start('verification', ISPB);
    expect(await start('verification', ISPB)).toEqual(first);
    expect(await jobs()).toBe(1);
    await query('select workflow.cancel($1)', [first[0]]);
    expect(await start('verification', ISPB)).not.toEqual(first);
  });

  test('the order and repetition of the key types make no difference: the same set is the same run', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...ALL_KEY_TYPES.split(',')), { minLength: 1, maxLength: 12 }),
        async (asked) => {
          const sorted = [...new Set(asked)].sort();
          const [id] = await start('verification', ISPB, asked);
          const [run] = await query('select workflow_key, input from workflow.runs where id = $1', [id]);
          expect(run).toEqual({
            workflow_key: `verification:${ISPB}:${sorted.join(',')}`,
            input: { participant: ISPB, keyTypes: sorted },
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  test('null means every configured participant, with one run each', async () => {
    await configure('87654321', '00000001');
    expect(await start('verification')).toHaveLength(2);
    expect(await start('verification', null, ['EVP'])).toHaveLength(2);
    expect(await keys()).toEqual([
      `verification:00000001:${ALL_KEY_TYPES}`,
      'verification:00000001:EVP',
      `verification:87654321:${ALL_KEY_TYPES}`,
      'verification:87654321:EVP',
    ]);
  });
});

describe('dict.start_reconciliation', () => {
  test('each requested key type gets a run', async () => {
    expect(await start('reconciliation', ISPB, ['PHONE', 'CPF', 'PHONE'])).toHaveLength(2);
    expect(await keys()).toEqual([`reconciliation:${ISPB}:CPF`, `reconciliation:${ISPB}:PHONE`]);
    expect(await query('select input from workflow.runs order by workflow_key')).toEqual([
      { input: { participant: ISPB, keyType: 'CPF' } },
      { input: { participant: ISPB, keyType: 'PHONE' } },
    ]);
    const all = await start('reconciliation', ISPB);
    expect([new Set(all).size, (await keys()).length, await jobs()]).toEqual([5, 5, 5]);
  });

  test('null means every configured participant', async () => {
    await configure('87654321', '00000001');
    expect(await start('reconciliation', null, ['EVP'])).toHaveLength(2);
    expect(await keys()).toEqual(['reconciliation:00000001:EVP', 'reconciliation:87654321:EVP']);
  });
});

describe.each(['verification', 'reconciliation'] as const)('dict.start_%s refuses', (what) => {
  test.each([
    ['an ISPB of 7 digits', ['1234567']],
    ['an ISPB of 9 digits', ['123456789']],
    ['an ISPB with a letter', ['1234567X']],
    ['an ISPB with a line end', ['12345678\n']],
    ['an ISPB in other digits', ['１２３４５６７８']],
    ['no ISPB at all', ['']],
  ])('%s', async (_, values) => {
    await expect(start(what, ...values)).rejects.toEqual(coded('DV_ISPB_INVALID', /8 digits/));
  });

  test.each([
    ['an unknown key type', [['CPF', 'RG']]],
    ['a key type in lower case', [['cpf']]],
    ['a null among the key types', [['CPF', null]]],
    ['no key type at all', [[]]],
  ])('%s', async (_, values) => {
    await expect(start(what, ISPB, ...values)).rejects.toEqual(
      coded('DV_KEY_TYPE_UNKNOWN', /CNPJ, CPF, EMAIL, EVP, PHONE/),
    );
  });

  test('a participant that is not configured, and names those that are', async () => {
    await configure('00000001', '00000002');
    await expect(start(what, ISPB, ['CPF'])).rejects.toEqual(
      coded('DV_PARTICIPANT_UNKNOWN', /00000001, 00000002.*PARTICIPANT_ISPB/),
    );
    expect([await keys(), await jobs()]).toEqual([[], 0]);
  });

  test('null while no participant is configured', async () => {
    await expect(start(what)).rejects.toEqual(coded('DV_PARTICIPANT_MISSING', /PARTICIPANT_ISPB/));
  });

  test('and then has started nothing', async () => {
    await configure(ISPB);
    await expect(start(what, null, ['CPF', 'RG'])).rejects.toThrow();
    expect([await keys(), await jobs()]).toEqual([[], 0]);
  });
});

test('the error names a machine that no worker ever stored', async () => {
  await expect(query(`select workflow.start_run('no_such_machine', 'k')`)).rejects.toEqual(
    coded('DV_MACHINE_UNKNOWN', /Start a worker once/),
  );
});

describe("in the caller's transaction", () => {
  test('a rollback starts nothing, a commit does', async () => {
    const client = await database.pool.connect();
    try {
      for (const end of ['rollback', 'commit']) {
        await client.query('begin');
        await client.query('select dict.start_verification($1)', [ISPB]);
        await client.query('select dict.start_reconciliation($1, $2)', [ISPB, ['CPF']]);
        await client.query(end);
        expect([(await keys()).length, await jobs()]).toEqual(end === 'rollback' ? [0, 0] : [2, 2]);
      }
    } finally {
      client.release();
    }
  });

  test('a trigger may start a run, which commits or rolls back with the write that fired it', async () => {
    // As docs/reference/sql.md shows it.
    await query(`create table public.bank_incidents (id bigint generated always as identity, participant text);
      create function public.on_bank_incident() returns trigger language plpgsql as $$
      begin
        perform dict.start_verification(new.participant, array['CPF', 'CNPJ']);
        return null;
      end $$;
      create trigger verify_after_incident after insert on public.bank_incidents
        for each row execute function public.on_bank_incident()`);
    await expect(query(`insert into public.bank_incidents (participant) values ('1')`)).rejects.toEqual(
      coded('DV_ISPB_INVALID'),
    );
    expect(await keys()).toEqual([]);
    await query(`insert into public.bank_incidents (participant) values ($1)`, [ISPB]);
    expect(await keys()).toEqual([`verification:${ISPB}:CNPJ,CPF`]);
    await query('drop table public.bank_incidents; drop function public.on_bank_incident');
  });

  test('a role is granted the API, and needs nothing else', async () => {
    const role = `clerk_${randomUUID().slice(0, 8)}`;
    const client = await database.pool.connect();
    try {
      await client.query(
        `begin; create role ${role}; grant usage on schema dict, workflow to ${role}; set local role ${role}; savepoint s`,
      );
      await expect(client.query('select dict.start_verification()')).rejects.toMatchObject({ code: '42501' });
      await client.query(
        `rollback to s; reset role; select workflow.grant_api('${role}'); set local role ${role}; savepoint s`,
      );
      await client.query(`select dict.start_verification('${ISPB}')`);
      for (const forbidden of ['select from dict.entries', 'select * from workflow.sweep()']) {
        await client.query('savepoint s');
        await expect(client.query(forbidden)).rejects.toMatchObject({ code: '42501' });
        await client.query('rollback to s');
      }
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  test('of the functions that run with their owner’s permissions, everybody may call only those that read VSyncs', async () => {
    const open = await query<{ f: string }>(
      `select p.oid::regprocedure::text as f from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
       where p.prosecdef and p.pronamespace in ('dict'::regnamespace, 'workflow'::regnamespace) and a.grantee = 0 order by 1`,
    );
    expect(open.map(({ f }) => f)).toEqual(['dict.incomplete(text,text)', 'dict.vsync(text,text)']);
  });

  test('what runs with its owner’s permissions looks into the caller’s temporary schema last', async () => {
    const careless = await query<{ f: string }>(
      `select p.oid::regprocedure::text as f from pg_proc p
       where p.prosecdef and p.pronamespace in ('dict'::regnamespace, 'workflow'::regnamespace)
         and not exists (select from unnest(p.proconfig) c where c ~ '^search_path=.*, pg_temp$')`,
    );
    expect(careless).toEqual([]);
  });

  test('a caller’s type named like one of our own never runs as the owner', async () => {
    await query(
      `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       select $1, 'CPF', i::text, gen_random_uuid(), 'NATURAL_PERSON', '1', 'Ana', '1', 'CACC' from generate_series(1, 2) i`,
      [ISPB],
    );
    const client = await database.pool.connect();
    try {
      await client.query(`begin; create role writer; grant usage on schema dict to writer;
        grant select, update on dict.entries to writer; set local role writer;
        create table pg_temp.ran (who text);
        create function pg_temp.evil(text) returns boolean language plpgsql as
          'begin insert into pg_temp.ran values (current_user); return true; end';
        create domain pg_temp.text as pg_catalog.text check (pg_temp.evil(value));
        update dict.entries set name = 'Eva'`);
      expect((await client.query('select * from pg_temp.ran')).rows).toEqual([]);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
