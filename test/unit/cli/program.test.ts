import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { explain } from '../../../src/cli/explain-error.ts';
import { createProgram } from '../../../src/cli/program.ts';
import { VERSION } from '../../../src/cli/version.ts';
import { createEmptyDatabase } from '../../support/database.ts';
import { cli, expectRefusal } from './support.ts';

function paths(command: Command, above: string[] = []): string[][] {
  return command.commands.flatMap((child) => {
    const path = [...above, child.name()];
    return [path, ...paths(child, path)];
  });
}

describe('every command', () => {
  it.each(paths(createProgram()).map((path) => [path.join(' '), path]))(
    '%s has a help with an example',
    async (name, path) => {
      const help = await cli([...path, '--help']);
      expect(help.exitCode).toBe(0);
      expect(help.stdout).toContain('Examples:\n');
      expect(help.stdout).toContain(`dict-vsync ${name.split(' ')[0]}`);
      expect(help.stderr).toBe('');
    },
  );

  it('it is one of those that the documentation promises', () => {
    expect(createProgram().commands.map((command) => command.name())).toEqual([
      'demo',
      'worker',
      'migrate',
      'retention',
      'start',
      'list',
      'describe',
      'report',
      'approve',
      'reject',
      'cancel',
      'retry',
      'undo',
      'held',
      'release',
      'unsure',
      'remove-unsure',
      'outbox',
      'cid',
      'vsync',
      'import',
      'connect',
      'key-events',
      'listen',
      'simulator',
      'health',
    ]);
  });
});

describe('usage', () => {
  it('it prints its version', async () => {
    expect(await cli(['--version'])).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n` });
  });

  it.each([
    ['an unknown command', ['lits'], 'list'],
    ['an unknown flag', ['list', '--nope'], '--nope'],
    ['an argument too many', ['list', 'more'], 'too many arguments'],
    ['a missing argument', ['describe'], 'RUN'],
    ['approve without --by', ['approve', 'x', '--reason', 'y'], '--by'],
    ['approve without --reason', ['approve', 'x', '--by', 'y'], '--reason'],
    ['reject without --by', ['reject', 'x', '--reason', 'y'], '--by'],
    ['an unknown status', ['list', '--status', 'DONE'], 'WAITING'],
    ['an unknown machine', ['list', '--machine', 'verify'], 'reconciliation'],
    ['an outbox retry without ids', ['outbox', 'retry'], '--all'],
    ['an outbox retry of a name', ['outbox', 'retry', 'first'], 'UUID'],
    ['outbox list of both states', ['outbox', 'list', '--dead', '--waiting'], '--waiting'],
    ['a limit of 0', ['list', '--limit', '0'], 'from 1'],
    ['an invalid port', ['simulator', '--port', '70000'], '65535'],
    ['an invalid speed', ['simulator', '--speed', '-1'], 'greater than 0'],
  ])('%s: DV_USAGE', async (_what, args, sentence) => {
    const refused = await cli(args);
    expectRefusal(refused, 2, 'DV_USAGE');
    expect(refused.stderr).toContain(sentence);
    expect(refused.stdout).toBe('');
    const { error } = (await cli([...args, '--json'])).json<{ error: { code: string; message: string } }>();
    expect(error.code).toBe('DV_USAGE');
    expect(error.message).toContain(sentence);
  });

  it('without a command, it shows the commands', async () => {
    const nothing = await cli([]);
    expect(nothing.exitCode).toBe(2);
    expect(nothing.stderr).toContain('Commands:');
  });

  it.each([
    ['an ISPB of 7 digits', ['start', 'verification', '--participant', '1234567'], 'DV_ISPB_INVALID'],
    ['an ISPB of letters', ['vsync', '--participant', 'abcdefgh'], 'DV_ISPB_INVALID'],
    ['an unknown key type', ['start', 'verification', '--key-type', 'RG'], 'DV_KEY_TYPE_UNKNOWN'],
    [
      'one unknown key type of two',
      ['start', 'reconciliation', '--key-type', 'CPF', 'RG'],
      'DV_KEY_TYPE_UNKNOWN',
    ],
    ['more damage than keys', ['simulator', '--keys', '3', '--divergent', '4'], 'DV_DAMAGE_TOO_LARGE'],
  ])('%s: %s', async (_what, args, code) => {
    expectRefusal(await cli(args), 2, code);
  });
});

describe('settings and database', () => {
  it('it reports all wrong settings together, and no value of them', async () => {
    const env = {
      DATABASE_URL: 'mysql://user:secret@host/db',
      PARTICIPANT_ISPB: '1234567',
      MANUAL_APPROVAL_THRESHOLD: 'many',
      LOG_LEVEL: 'loud',
    };
    const refused = await cli(['list', '--json'], { env });
    expectRefusal(refused, 2, 'DV_SETTINGS_INVALID');
    for (const name of Object.keys(env)) expect(refused.stderr).toContain(`${name}: `);
    expect(refused.stderr).not.toContain('secret');
    expect(refused.json()).toEqual({
      error: { code: 'DV_SETTINGS_INVALID', message: expect.stringContaining('PARTICIPANT_ISPB') as string },
    });
  });

  it('it reports everything that the worker lacks', async () => {
    const refused = await cli(['worker']);
    expectRefusal(refused, 2, 'DV_SETTINGS_INVALID');
    expect(refused.stderr).toMatch(/PARTICIPANT_ISPB: .+BRIDGE_ADDRESS: /);
  });

  it('it says where no database answers, without the password', async () => {
    const env = { DATABASE_URL: 'postgres://user:secret@127.0.0.1:1/db' };
    const refused = await cli(['list'], { env });
    expectRefusal(refused, 1, 'DV_DATABASE_UNREACHABLE');
    expect(refused.stderr).toContain('127.0.0.1:1/db');
    expect(refused.stderr).not.toContain('secret');
  });

  it('it recognizes a lost connection, and keeps the stack of an unknown error', () => {
    expect(explain(new Error('Connection terminated unexpectedly'))).toMatchObject({
      code: 'DV_DATABASE_UNREACHABLE',
      exitCode: 1,
    });
    const bug = new TypeError('x is not a function');
    expect(() => explain(bug)).toThrow(bug);
  });

  it('it says that the database is not migrated, and changes nothing in it', async () => {
    await using database = await disposable();
    const env = { DATABASE_URL: database.url };
    const commands = [
      ['list'],
      ['describe', 'x'],
      ['report', 'x'],
      ['start', 'verification', '--participant', '12345678'],
      ['approve', 'x', '--by', 'a', '--reason', 'b'],
      ['cancel', 'x'],
      ['retry', 'x'],
      ['vsync'],
      ['vsync', '--participant', '12345678'],
    ];
    for (const args of commands) expectRefusal(await cli(args, { env }), 2, 'DV_DATABASE_NOT_MIGRATED');
    const { rows } = await database.pool.query(
      `select from pg_namespace where nspname in ('workflow', 'dict', 'graphile_worker')`,
    );
    expect(rows).toEqual([]);
  });

  it('migrate says what it applied, and the second time that nothing was left', async () => {
    await using database = await disposable();
    const env = { DATABASE_URL: database.url };
    const first = (await cli(['migrate', '--json'], { env })).json<{ applied: string[] }>();
    expect(first.applied[0]).toBe('0001-workflow.sql');
    expect(await cli(['migrate'], { env })).toMatchObject({
      exitCode: 0,
      stdout: 'The database is up to date.\n',
    });
    expect(await cli(['list'], { env })).toMatchObject({ exitCode: 0, stdout: 'No run matches.\n' });
  });
});

async function disposable() {
  const database = await createEmptyDatabase();
  return { ...database, [Symbol.asyncDispose]: () => database.drop() };
}
