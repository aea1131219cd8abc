import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, it, vi } from 'vitest';
import { connectBridge } from '../../../src/bridge/index.ts';
import { readEntriesCsv } from '../../../src/dict/key-base/csv.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { VSync } from '../../../src/dict/vsync/vsync.ts';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { damage, generateKeyBase } from '../../../src/simulator/index.ts';
import { cli, expectRefusal } from './support.ts';

const ISPB = '87654321';

/** The simulator's output, as soon as it listens. */
function listening() {
  const said = Promise.withResolvers<{ address: string }>();
  // The command's own capture is in place when it listens.
  const listening = async () => {
    const text = await vi.waitFor(() => {
      const calls = vi.mocked(process.stdout.write).mock.calls.map(([part]) => String(part));
      expect(calls).not.toEqual([]);
      return calls.join('');
    });
    said.resolve(JSON.parse(text) as { address: string });
  };
  listening().catch(said.reject);
  return said.promise;
}

it('it serves the keys that it generated, and exports the local base with the differences asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dict-vsync-cli-'));
  const file = join(folder, 'local.csv');
  const flags = ['--port', '0', '--keys', '30', '--seed', '5', '--divergent', '6', '--participant', ISPB];
  const running = cli(['simulator', ...flags, '--speed', '20', '--export', file, '--json']);
  const { address } = await listening();
  const bridge = connectBridge({ address });
  try {
    const entries = [
      ...generateKeyBase({ participant: ISPB, keyTypes: KEY_TYPES, keysPerType: 30, seed: 5 }),
    ];
    const exported: Entry[] = [];
    for await (const { entry } of readEntriesCsv(Readable.from([await readFile(file)]))) exported.push(entry);
    expect(exported).toEqual(damage(entries, { perType: 6, seed: 5 }).local);

    const verify = (of: readonly Entry[]) =>
      bridge.createSyncVerification(
        { participant: ISPB, keyType: 'EVP', vsync: vsyncOf(of.filter(({ keyType }) => keyType === 'EVP')) },
        { correlationId: 'test' },
      );
    expect((await verify(entries)).result).toBe('OK');
    expect((await verify(exported)).result).toBe('NOK');
    const other = { participant: '12345678', keyType: 'EVP' as const, vsync: '0'.repeat(64) };
    await expect(bridge.createSyncVerification(other, { correlationId: 'test' })).rejects.toMatchObject({
      code: 'DV_DICT_FORBIDDEN',
    });
  } finally {
    bridge.close();
    await rm(folder, { recursive: true });
    process.emit('SIGTERM', 'SIGTERM');
  }
  const ended = await running;
  expect(ended.exitCode).toBe(0);
  expect(ended.json()).toEqual({ address, participants: [ISPB], keysPerType: 30, divergentPerType: 6 });
  expect(ended.stderr).toContain(`BRIDGE_ADDRESS=${address}`);
});

function vsyncOf(entries: readonly Entry[]): string {
  return entries.reduce((vsync, entry) => vsync.xor(computeCid(entry)), VSync.empty()).toHex();
}

it('it says when it cannot export or listen', async () => {
  const small = ['simulator', '--keys', '1', '--port', '0'];
  expectRefusal(await cli([...small, '--export', '/no/such/folder/x.csv']), 2, 'DV_FILE_UNWRITABLE');
  expectRefusal(await cli([...small, '--host', '192.0.2.1']), 1, 'DV_SIMULATOR_LISTEN');
});

it('with --any-participant it answers for every ISPB', async () => {
  const running = cli(['simulator', '--port', '0', '--keys', '0', '--any-participant', '--json']);
  const { address } = await listening();
  const bridge = connectBridge({ address });
  try {
    const about = { participant: '00000001', keyType: 'CPF' as const, vsync: '0'.repeat(64) };
    expect(await bridge.createSyncVerification(about, { correlationId: 'test' })).toMatchObject({
      result: 'OK',
    });
  } finally {
    bridge.close();
    process.emit('SIGTERM', 'SIGTERM');
  }
  expect((await running).exitCode).toBe(0);
});
